// SPDX-License-Identifier: Apache-2.0
#include "core/neon/depthwise_neon.h"
#include "core/neon/requantize_neon.h"

void oaq_depthwise_clamp_neon(size_t columns, const OaqOutputStage* stage, int8_t* out,
                              size_t out_stride) {
  if (stage->requantize.lo == INT8_MIN && stage->requantize.hi == INT8_MAX) return;
  const Limits limits = load_limits(stage);
  for (; columns > 0; --columns, out += out_stride) {
    vst1q_s8(out, clamp_codes(vld1q_s8(out), &limits));
  }
}
