// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AARCH64_DEPTHWISE_CODES_3X3_H_
#define OAQ_CORE_AARCH64_DEPTHWISE_CODES_3X3_H_

#include <stddef.h>
#include <stdint.h>

// What the assembly kernels take, of a tile of sixteen channels. Its offsets are in
// depthwise_codes_3x3.inc.
typedef struct OaqDepthwiseCodes3x3 {
  const int8_t* rows[3];
  size_t after_four;  // outputs behind the first four
  const int8_t* weights;
  const int32_t* bias;
  const int32_t *multipliers, *shifts;  // of the stage
  int8_t* out;
  size_t out_stride;
  int32_t zero_point, width;  // width: the greatest code less the zero point
  const int16_t* start;       // of kernels with start values
} OaqDepthwiseCodes3x3;

// By whether stages are signed and there are start values. Signed ones are left to be clamped; the
// least code of others is the zero point.
void oaq_depthwise_codes_3x3_s1(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s1_signed(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s1_start(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s1_signed_start(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s2(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s2_signed(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s2_start(const OaqDepthwiseCodes3x3* call);
void oaq_depthwise_codes_3x3_s2_signed_start(const OaqDepthwiseCodes3x3* call);

#endif  // OAQ_CORE_AARCH64_DEPTHWISE_CODES_3X3_H_
