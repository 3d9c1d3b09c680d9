// SPDX-License-Identifier: Apache-2.0
#include "core/aarch64/depthwise_codes_3x3.h"

#include <assert.h>

#include "core/aarch64/kernels_aarch64.h"
#include "core/neon/depthwise_neon.h"

// As depthwise_codes_3x3.inc has them.
_Static_assert(offsetof(OaqDepthwiseCodes3x3, after_four) == 24, "kAfterFour");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, weights) == 32, "kWeights");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, bias) == 40, "kBias");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, multipliers) == 48, "kMultipliers");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, shifts) == 56, "kShifts");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, out) == 64, "kOut");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, out_stride) == 72, "kOutStride");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, zero_point) == 80, "kZeroPoint");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, width) == 84, "kWidth");
_Static_assert(offsetof(OaqDepthwiseCodes3x3, start) == 88, "kStart");

enum { kOutputs = 4 };

typedef void (*Codes)(const OaqDepthwiseCodes3x3* call);

// False for columns too few.
static bool run(const Codes kernels[2][2], size_t columns, const OaqDrains* drains,
                const void* const* rows, const int8_t* b, const int32_t* bias,
                const OaqOutputStage* stage, size_t channel, int8_t* out, size_t out_stride) {
  assert(drains->num_blocks == 1);
  if (columns < kOutputs) return false;
  const OaqRequantize* requantize = &stage->requantize;
  const OaqDepthwiseCodes3x3 call = {.rows = {rows[0], rows[1], rows[2]},
                                     .after_four = columns - kOutputs,
                                     .weights = b,
                                     .bias = bias,
                                     .multipliers = stage->multipliers + channel,
                                     .shifts = stage->shifts + channel,
                                     .out = out,
                                     .out_stride = out_stride,
                                     .zero_point = requantize->zero_point,
                                     .width = requantize->hi - requantize->zero_point,
                                     .start = drains->start};
  const bool is_signed = requantize->lo != requantize->zero_point;
  kernels[is_signed][drains->start != NULL](&call);
  if (is_signed) oaq_depthwise_clamp_neon(columns, stage, out, out_stride);
  return true;
}

void oaq_depthwise_codes_3x3_s1_a53(size_t columns, const OaqDrains* drains,
                                    const void* const* rows, size_t column_stride, const int8_t* b,
                                    const int32_t* bias, const OaqOutputStage* stage,
                                    size_t channel, int8_t* out, size_t out_stride) {
  static const Codes kKernels[2][2] = {
      {oaq_depthwise_codes_3x3_s1, oaq_depthwise_codes_3x3_s1_start},
      {oaq_depthwise_codes_3x3_s1_signed, oaq_depthwise_codes_3x3_s1_signed_start}};
  if (!run(kKernels, columns, drains, rows, b, bias, stage, channel, out, out_stride)) {
    oaq_depthwise_codes_3x3_s1_neon(columns, drains, rows, column_stride, b, bias, stage, channel,
                                    out, out_stride);
  }
}

void oaq_depthwise_codes_3x3_s2_a53(size_t columns, const OaqDrains* drains,
                                    const void* const* rows, size_t column_stride, const int8_t* b,
                                    const int32_t* bias, const OaqOutputStage* stage,
                                    size_t channel, int8_t* out, size_t out_stride) {
  static const Codes kKernels[2][2] = {
      {oaq_depthwise_codes_3x3_s2, oaq_depthwise_codes_3x3_s2_start},
      {oaq_depthwise_codes_3x3_s2_signed, oaq_depthwise_codes_3x3_s2_signed_start}};
  if (!run(kKernels, columns, drains, rows, b, bias, stage, channel, out, out_stride)) {
    oaq_depthwise_codes_3x3_s2_neon(columns, drains, rows, column_stride, b, bias, stage, channel,
                                    out, out_stride);
  }
}
