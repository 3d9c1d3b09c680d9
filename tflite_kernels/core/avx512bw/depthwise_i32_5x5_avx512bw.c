// SPDX-License-Identifier: Apache-2.0
#include "core/avx512bw/depthwise_avx512bw.h"
#include "core/avx512bw/depthwise_vectors_i32_avx512bw.h"
#include "core/x86/depthwise_5x5.h"

void oaq_depthwise_i32_5x5_s1_avx512bw(size_t columns, size_t steps, const void* const* rows,
                                       size_t column_stride, const void* b, const int32_t* bias,
                                       int32_t* acc) {
  (void)steps;
  (void)column_stride;
  filter_5x5(1, columns, NULL, rows, b, bias, acc);
}

void oaq_depthwise_i32_5x5_s2_avx512bw(size_t columns, size_t steps, const void* const* rows,
                                       size_t column_stride, const void* b, const int32_t* bias,
                                       int32_t* acc) {
  (void)steps;
  (void)column_stride;
  filter_5x5(2, columns, NULL, rows, b, bias, acc);
}
