// SPDX-License-Identifier: Apache-2.0
#include "core/output_stage.h"

#include <stdlib.h>

static bool has_right_shifts(const OaqRequantize* requantize, size_t channels) {
  for (size_t c = 0; requantize->channels != NULL && c < channels; ++c) {
    const OaqMultiplier* multiplier = &requantize->channels[c];
    if (multiplier->multiplier != 0 && multiplier->shift > -1) return false;
  }
  return requantize->channels != NULL;
}

bool oaq_output_stage_init(const OaqRequantize* requantize, size_t channels, OaqOutputStage* stage,
                           OaqError* error) {
  *stage = (OaqOutputStage){.requantize = *requantize};
  if (!has_right_shifts(requantize, channels)) return true;
  stage->multipliers = calloc(channels + OAQ_OUTPUT_PADDING, sizeof(*stage->multipliers));
  stage->shifts = calloc(channels + OAQ_OUTPUT_PADDING, sizeof(*stage->shifts));
  if (stage->multipliers == NULL || stage->shifts == NULL) {
    oaq_output_stage_free(stage);
    return oaq_fail(error, "out of memory for the multipliers of %zu channels", channels);
  }
  for (size_t c = 0; c < channels; ++c) {
    const OaqMultiplier multiplier = requantize->channels[c];
    // A zero multiplier gives 0 with any shift.
    const int32_t right = multiplier.multiplier == 0 ? 1 : -multiplier.shift;
    stage->multipliers[c] = multiplier.multiplier;
    stage->shifts[c] = right - 1;
  }
  return true;
}

void oaq_output_stage_free(OaqOutputStage* stage) {
  free(stage->multipliers);
  free(stage->shifts);
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
