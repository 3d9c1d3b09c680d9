// SPDX-License-Identifier: Apache-2.0
#include "core/neon/depthwise_any.h"
#include "core/neon/depthwise_neon.h"

void oaq_depthwise_i32_neon(size_t columns, size_t steps, const void* const* taps,
                            size_t column_stride, const void* b, const int32_t* bias,
                            int32_t* acc) {
  const Blocks blocks = {.depth = 1, .steps = steps};
  any_filter(columns, blocks, taps, column_stride, b, bias, acc);
}
