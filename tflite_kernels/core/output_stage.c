// SPDX-License-Identifier: Apache-2.0
#include "core/output_stage.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

static bool has_right_shift(OaqMultiplier multiplier) {
  // A zero multiplier gives 0 with any shift.
  return multiplier.multiplier == 0 || multiplier.shift < 0;
}

// Whether the zero point can be added before the shift.
static bool has_short_shift(OaqMultiplier multiplier) {
  enum { kMostShift = 24 };
  return multiplier.multiplier == 0 || (multiplier.shift < 0 && multiplier.shift >= -kMostShift);
}

// a / b, rounded down; b > 0.
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// How little the largest x that is below `code` lacks, in 2^-(31 + e). `above` is what is added to
// x * m before it is divided, for x >= 0.
static int64_t least_gap(int64_t code, int64_t above, int64_t multiplier) {
  const int64_t sign = INT64_C(1) << 31;
  const int64_t x = floor_div(code - 1 - above, multiplier);
  if (x >= 0) return code - above - x * multiplier;
  const int64_t below = floor_div(code - 1 - (above - sign), multiplier);
  return code - (above - sign) - (below < -1 ? below : -1) * multiplier;
}

// In doubles, values up to 256 are 2^-45 apart: so much nobody may lack.
static bool fits_double(OaqMultiplier multiplier, const OaqRequantize* requantize) {
  enum { kExact = 14, kMost = 22, kCodes = 256 };
  const int32_t e = -multiplier.shift;
  if (multiplier.multiplier == 0) return true;
  if (e < 1 || e > kMost) return false;
  if (e <= kExact) return true;
  const int64_t one = INT64_C(1) << (31 + e);
  const int64_t above =
      (INT64_C(1) << 30) + (one >> 1) + (requantize->zero_point - requantize->lo) * one;
  for (int64_t code = 1; code < kCodes; ++code) {
    if (least_gap(code * one, above, multiplier.multiplier) <= INT64_C(1) << (e - kExact)) {
      return false;
    }
  }
  return true;
}

static void set_channel(OaqMultiplier multiplier, size_t channel, OaqOutputStage* stage) {
  const bool right = has_right_shift(multiplier);
  stage->multipliers[channel] = multiplier.multiplier;
  stage->in_double[channel] = fits_double(multiplier, &stage->requantize) ? 1 : 0;
  stage->shifts[channel] = right && multiplier.multiplier != 0 ? -multiplier.shift - 1 : 0;
  if (stage->left_shifts == NULL) return;
  stage->left_shifts[channel] = right ? 0 : multiplier.shift;
  stage->doublings[channel] = right ? 0 : 1;
}

// Zeros, `count` of `size` bytes.
static void* allocate(OaqOutputStage* stage, size_t count, size_t size) {
  void* memory = calloc(count, size);
  if (memory != NULL) stage->bytes += count * size;
  return memory;
}

// False where memory is out.
static bool set_multipliers(const OaqMultiplier* multipliers, size_t channels,
                            OaqOutputStage* stage) {
  bool right = true, early = true;
  for (size_t c = 0; c < channels; ++c) {
    right = right && has_right_shift(multipliers[c]);
    early = early && has_short_shift(multipliers[c]);
  }
  stage->early_zero_point = early ? stage->requantize.zero_point : 0;
  stage->late_zero_point = early ? 0 : stage->requantize.zero_point;
  const size_t count = channels + OAQ_OUTPUT_PADDING;
  stage->multipliers = allocate(stage, count, sizeof(*stage->multipliers));
  stage->shifts = allocate(stage, count, sizeof(*stage->shifts));
  stage->in_double = allocate(stage, count, sizeof(*stage->in_double));
  if (stage->multipliers == NULL || stage->shifts == NULL || stage->in_double == NULL) {
    return false;
  }
  // Of vectors that begin at the last channels.
  memset(stage->in_double + channels, 1, OAQ_OUTPUT_PADDING);
  if (!right) {
    stage->left_shifts = allocate(stage, count, sizeof(*stage->left_shifts));
    stage->doublings = allocate(stage, count, sizeof(*stage->doublings));
    if (stage->left_shifts == NULL || stage->doublings == NULL) return false;
  }
  for (size_t c = 0; c < channels; ++c) set_channel(multipliers[c], c, stage);
  return true;
}

static bool set_reals(const double* reals, size_t channels, OaqOutputStage* stage) {
  stage->requantize.reals = allocate(stage, channels, sizeof(*reals));
  if (stage->requantize.reals == NULL) return false;
  memcpy(stage->requantize.reals, reals, channels * sizeof(*reals));
  return true;
}

bool oaq_output_stage_init(const OaqRequantize* requantize, size_t channels, OaqOutputStage* stage,
                           OaqError* error) {
  *stage = (OaqOutputStage){.requantize = *requantize};
  stage->requantize.channels = NULL;
  stage->requantize.reals = NULL;
  const bool set = requantize->channels != NULL
                       ? set_multipliers(requantize->channels, channels, stage)
                       : set_reals(requantize->reals, channels, stage);
  if (set) return true;
  oaq_output_stage_free(stage);
  return oaq_fail(error, "out of memory for the multipliers of %zu channels", channels);
}

void oaq_output_stage_free(OaqOutputStage* stage) {
  free(stage->multipliers);
  free(stage->shifts);
  free(stage->in_double);
  free(stage->left_shifts);
  free(stage->doublings);
  free(stage->requantize.reals);
  *stage = (OaqOutputStage){0};
}

int8_t oaq_output_code(const OaqOutputStage* stage, size_t channel, int32_t sum) {
  const OaqRequantize* requantize = &stage->requantize;
  if (stage->multipliers == NULL) return oaq_requantize(requantize, channel, sum);
  const bool left = stage->doublings != NULL && stage->doublings[channel] != 0;
  const OaqMultiplier multiplier = {stage->multipliers[channel], left
                                                                     ? stage->left_shifts[channel]
                                                                     : -1 - stage->shifts[channel]};
  const int32_t scaled = oaq_multiply_by_quantized_multiplier(sum, multiplier);
  return (int8_t)oaq_clamp(oaq_wrap_add(scaled, requantize->zero_point), requantize->lo,
                           requantize->hi);
}

void oaq_output_scalar(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                       size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                       size_t out_stride) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      out[m * out_stride + n] = oaq_output_code(stage, first_channel + n, acc[m * acc_stride + n]);
    }
  }
}
