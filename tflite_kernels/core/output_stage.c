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

static void set_channel(OaqMultiplier multiplier, size_t channel, OaqOutputStage* stage) {
  const bool right = has_right_shift(multiplier);
  stage->multipliers[channel] = multiplier.multiplier;
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
  if (stage->multipliers == NULL || stage->shifts == NULL) return false;
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
