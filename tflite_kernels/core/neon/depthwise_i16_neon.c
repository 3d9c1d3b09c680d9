// SPDX-License-Identifier: Apache-2.0
#include "core/neon/depthwise_any.h"
#include "core/neon/depthwise_neon.h"

void oaq_depthwise_i16_neon(size_t columns, const OaqDrains* drains, const void* const* taps,
                            size_t column_stride, const int8_t* b, const int32_t* bias,
                            int32_t* acc) {
  if (drains->start == NULL) {
    const Blocks blocks = {.list = drains->blocks, .count = drains->num_blocks};
    any_filter(columns, blocks, taps, column_stride, b, bias, acc);
  } else {
    const Blocks blocks = {drains->blocks, drains->num_blocks, .start = drains->start};
    any_filter(columns, blocks, taps, column_stride, b, bias, acc);
  }
}
