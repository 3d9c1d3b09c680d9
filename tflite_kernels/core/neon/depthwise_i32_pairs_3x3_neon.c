// SPDX-License-Identifier: Apache-2.0
#include "core/neon/depthwise_neon.h"
#include "core/neon/depthwise_square.h"

void oaq_depthwise_i32_pairs_3x3_s1_neon(size_t columns, size_t steps, const void* const* rows,
                                         size_t column_stride, const void* b, const int32_t* bias,
                                         int32_t* acc) {
  (void)steps;
  (void)column_stride;
  square(3, 1, 2, columns, NULL, rows, b, bias, acc);
}

void oaq_depthwise_i32_pairs_3x3_s2_neon(size_t columns, size_t steps, const void* const* rows,
                                         size_t column_stride, const void* b, const int32_t* bias,
                                         int32_t* acc) {
  (void)steps;
  (void)column_stride;
  square(3, 2, 2, columns, NULL, rows, b, bias, acc);
}
