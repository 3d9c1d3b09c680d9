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

// What the assembly has no kernels for: few columns, and activations that clamp to other codes.
static bool is_rare(size_t columns, const OaqRequantize* requantize, bool is_signed) {
  if (columns < kOutputs) return true;
  if (is_signed) return requantize->lo != INT8_MIN || requantize->hi != INT8_MAX;
  return requantize->lo != requantize->zero_point;
}

#define OAQ_DEFINE_CODES(stride)                                                              \
  void oaq_depthwise_codes_3x3_s##stride##_a53(                                               \
      size_t columns, const OaqDrains* drains, const void* const* rows, size_t column_stride, \
      const int8_t* b, const int32_t* bias, const OaqOutputStage* stage, size_t channel,      \
      int8_t* out, size_t out_stride) {                                                       \
    static const Codes kCodes[2][2] = {                                                       \
        {oaq_depthwise_codes_3x3_s##stride, oaq_depthwise_codes_3x3_s##stride##_start},       \
        {oaq_depthwise_codes_3x3_s##stride##_signed,                                          \
         oaq_depthwise_codes_3x3_s##stride##_signed_start}};                                  \
    assert(drains->num_blocks == 1);                                                          \
    const OaqRequantize* requantize = &stage->requantize;                                     \
    const bool is_signed = oaq_output_stage_is_signed(stage);                                 \
    if (is_rare(columns, requantize, is_signed)) {                                            \
      oaq_depthwise_codes_3x3_s##stride##_neon(columns, drains, rows, column_stride, b, bias, \
                                               stage, channel, out, out_stride);              \
      return;                                                                                 \
    }                                                                                         \
    const OaqDepthwiseCodes3x3 call = {.rows = {rows[0], rows[1], rows[2]},                   \
                                       .after_four = columns - kOutputs,                      \
                                       .weights = b,                                          \
                                       .bias = bias,                                          \
                                       .multipliers = stage->multipliers + channel,           \
                                       .shifts = stage->shifts + channel,                     \
                                       .out = out,                                            \
                                       .out_stride = out_stride,                              \
                                       .zero_point = requantize->zero_point,                  \
                                       .width = requantize->hi - requantize->zero_point,      \
                                       .start = drains->start};                               \
    kCodes[is_signed][drains->start != NULL](&call);                                          \
  }

OAQ_DEFINE_CODES(1)
OAQ_DEFINE_CODES(2)
