// SPDX-License-Identifier: Apache-2.0
#include <assert.h>

#include "core/neon/depthwise_neon.h"
#include "core/neon/depthwise_square.h"

void oaq_depthwise_i16_5x5_s1_neon(size_t columns, const OaqDrains* drains, const void* const* rows,
                                   size_t column_stride, const int8_t* b, const int32_t* bias,
                                   int32_t* acc) {
  assert(drains->num_blocks == 1);
  (void)column_stride;
  if (drains->start == NULL) {
    square(5, 1, kNeverDrained, columns, NULL, rows, b, bias, acc);
  } else {
    square(5, 1, kNeverDrained, columns, drains->start, rows, b, bias, acc);
  }
}

void oaq_depthwise_i16_5x5_s2_neon(size_t columns, const OaqDrains* drains, const void* const* rows,
                                   size_t column_stride, const int8_t* b, const int32_t* bias,
                                   int32_t* acc) {
  assert(drains->num_blocks == 1);
  (void)column_stride;
  if (drains->start == NULL) {
    square(5, 2, kNeverDrained, columns, NULL, rows, b, bias, acc);
  } else {
    square(5, 2, kNeverDrained, columns, drains->start, rows, b, bias, acc);
  }
}
