// SPDX-License-Identifier: Apache-2.0
#include "core/output_stage.h"

#include <stdlib.h>

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

bool oaq_output_stage_init(const OaqRequantize* requantize, size_t channels, OaqOutputStage* stage,
                           OaqError* error) {
  *stage = (OaqOutputStage){.requantize = *requantize};
  if (requantize->channels == NULL) return true;
  bool plain = true;
  for (size_t c = 0; c < channels; ++c) plain = plain && has_short_shift(requantize->channels[c]);
  const size_t count = channels + OAQ_OUTPUT_PADDING;
  stage->multipliers = calloc(count, sizeof(*stage->multipliers));
  stage->shifts = calloc(count, sizeof(*stage->shifts));
  if (!plain) {
    stage->left_shifts = calloc(count, sizeof(*stage->left_shifts));
    stage->doublings = calloc(count, sizeof(*stage->doublings));
  }
  if (stage->multipliers == NULL || stage->shifts == NULL ||
      (!plain && (stage->left_shifts == NULL || stage->doublings == NULL))) {
    oaq_output_stage_free(stage);
    return oaq_fail(error, "out of memory for the multipliers of %zu channels", channels);
  }
  for (size_t c = 0; c < channels; ++c) set_channel(requantize->channels[c], c, stage);
  return true;
}

void oaq_output_stage_free(OaqOutputStage* stage) {
  free(stage->multipliers);
  free(stage->shifts);
  free(stage->left_shifts);
  free(stage->doublings);
  *stage = (OaqOutputStage){0};
}

void oaq_output_scalar(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                       size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                       size_t out_stride) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      out[m * out_stride + n] =
          oaq_requantize(&stage->requantize, first_channel + n, acc[m * acc_stride + n]);
    }
  }
}
