// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_OUTPUT_STAGE_H_
#define OAQ_CORE_OUTPUT_STAGE_H_

#include "core/requantize.h"

// What turns an op's sums into codes, in the form that vectors of channels want.
//
// For a multiplier m in [2^30, 2^31) and a right shift e of 1 or more, TFLite's two roundings
//   high = floor((x * m + 2^30) / 2^31),  code = round(high / 2^e), halves away from zero
// are, since floors of quotients nest, one:
//   code = floor((x * m + 2^30 + 2^(30 + e) - (x < 0) * 2^31) / 2^(31 + e)).
// (high is negative where x is, but for x = -1 and m = 2^30, where both forms give 0.) Its division
// by 2^32 is the upper half of the product, which leaves a shift by e - 1 >= 0. Without a right
// shift, code = floor((2 * x * m + 2^31) / 2^32), where x has been shifted left by the multiplier's
// whole bits, modulo 2^32.
//
// A negative x gives 0 or less with or without the last term, for 2^30 + 2^(30 + e) is less than
// 2^(31 + e). So an op whose least code is the zero point or above, as behind a RELU, does without.
// For e up to 24 the zero point z can be one more term, z * 2^(31 + e): the sum stays within 64
// bits. Else it is added to what the shift leaves.
typedef struct OaqOutputStage {
  OaqRequantize requantize;  // without `channels`; `reals` a copy, NULL where there are multipliers
  // [channels], with room behind them for a vector that starts at the last one; NULL where the
  // multipliers are real, and oaq_output_code is to be called for each sum.
  int32_t* multipliers;
  int32_t* shifts;                            // e - 1, 0 without a right shift
  int32_t early_zero_point, late_zero_point;  // before and after the shift; one of them is 0
  // 1 where doubles hold what a code is above `requantize.lo`, x * m / 2^(31 + e) and what is added
  // to it, so well that truncating it gives the right code for each x: with 53 bits, always for e
  // up to 14; up to 22 where no x comes so near to a code from below that it is rounded to it. 0
  // for others.
  uint8_t* in_double;
  // What right shifts alone do not need, NULL where all channels have one.
  int32_t* left_shifts;  // of x
  int32_t* doublings;    // 1 where the product is doubled, 0 where not
  size_t bytes;          // allocated
} OaqOutputStage;

enum { OAQ_OUTPUT_PADDING = 32 };

// `requantize` is not needed afterwards.
bool oaq_output_stage_init(const OaqRequantize* requantize, size_t channels, OaqOutputStage* stage,
                           OaqError* error);
void oaq_output_stage_free(OaqOutputStage* stage);

// Whether codes of negative sums are told apart, and not all clamped to the least code.
static inline bool oaq_output_stage_is_signed(const OaqOutputStage* stage) {
  return stage->requantize.lo < stage->requantize.zero_point;
}

// Whether it is TFLite's two roundings with a right shift for each of these channels, as for nearly
// all that there are.
static inline bool oaq_output_stage_is_plain(const OaqOutputStage* stage, size_t first_channel,
                                             size_t channels) {
  bool plain = stage->multipliers != NULL;
  for (size_t c = 0; stage->doublings != NULL && c < channels; ++c) {
    plain = plain && stage->doublings[first_channel + c] == 0;
  }
  return plain;
}

// One sum of channel `channel` into its code.
int8_t oaq_output_code(const OaqOutputStage* stage, size_t channel, int32_t sum);

// out[m * out_stride + n] = code of acc[m * acc_stride + n], channel first_channel + n, for m <
// rows and n < channels. acc may be read up to the next multiple of 16 channels.
typedef void (*OaqOutput)(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                          size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                          size_t out_stride);

void oaq_output_scalar(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                       size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                       size_t out_stride);

#endif  // OAQ_CORE_OUTPUT_STAGE_H_
