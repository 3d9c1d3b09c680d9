// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_DEPTHWISE_CODES_H_
#define OAQ_CORE_NEON_DEPTHWISE_CODES_H_

#include <assert.h>

#include "core/neon/depthwise_neon.h"
#include "core/neon/depthwise_square.h"

// Square filters that end in the output stage.

OAQ_INLINE void square_codes(size_t side, size_t stride, size_t columns, const int16_t* start,
                             const void* const* rows, const int8_t* b, const int32_t* bias,
                             const OaqOutputStage* stage, size_t first_channel, int8_t* out,
                             size_t out_stride, Ending ending) {
  for (size_t channel = 0; channel < kTile; channel += kHalf) {
    const Results results = {.codes = out + channel,
                             .codes_stride = out_stride,
                             .low = load_multipliers(stage, first_channel + channel, false),
                             .high = load_multipliers(stage, first_channel + channel + 4, false),
                             .limits = load_limits(stage)};
    square_half(side, stride, kNeverDrained, channel, columns, start, rows, b, bias, ending,
                &results);
  }
}

// A kernel, of a filter's side and stride. Each of its variants is a function of its own, so that
// compilers give each its registers.
#define OAQ_DEFINE_CODES(side, stride)                                                        \
  OAQ_CODES_VARIANT(codes_s##stride, side, stride, NULL, kCodes)                              \
  OAQ_CODES_VARIANT(codes_signed_s##stride, side, stride, NULL, kSignedCodes)                 \
  OAQ_CODES_VARIANT(codes_start_s##stride, side, stride, drains->start, kCodes)               \
  OAQ_CODES_VARIANT(codes_start_signed_s##stride, side, stride, drains->start, kSignedCodes)  \
  void oaq_depthwise_codes_##side##x##side##_s##stride##_neon(                                \
      size_t columns, const OaqDrains* drains, const void* const* rows, size_t column_stride, \
      const int8_t* b, const int32_t* bias, const OaqOutputStage* stage, size_t channel,      \
      int8_t* out, size_t out_stride) {                                                       \
    static const OaqDepthwiseI16Codes kKernels[2][2] = {                                      \
        {codes_s##stride, codes_signed_s##stride},                                            \
        {codes_start_s##stride, codes_start_signed_s##stride}};                               \
    assert(drains->num_blocks == 1);                                                          \
    const bool is_signed = needs_signed(stage);                                               \
    kKernels[drains->start != NULL][is_signed](columns, drains, rows, column_stride, b, bias, \
                                               stage, channel, out, out_stride);              \
    if (is_signed) oaq_depthwise_clamp_neon(columns, stage, out, out_stride);                 \
  }

#define OAQ_CODES_VARIANT(name, side, stride, start, ending)                                   \
  OAQ_NOINLINE void name(size_t columns, const OaqDrains* drains, const void* const* rows,     \
                         size_t column_stride, const int8_t* b, const int32_t* bias,           \
                         const OaqOutputStage* stage, size_t channel, int8_t* out,             \
                         size_t out_stride) {                                                  \
    (void)drains;                                                                              \
    (void)column_stride;                                                                       \
    square_codes(side, stride, columns, start, rows, b, bias, stage, channel, out, out_stride, \
                 ending);                                                                      \
  }

#endif  // OAQ_CORE_NEON_DEPTHWISE_CODES_H_
