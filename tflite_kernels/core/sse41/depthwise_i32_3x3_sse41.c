// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/depthwise_sse41.h"
#include "core/sse41/depthwise_vectors_i32_sse41.h"
#include "core/x86/depthwise_3x3.h"

void oaq_depthwise_i32_3x3_s1_sse41(size_t columns, size_t steps, const void* const* rows,
                                    size_t column_stride, const void* b, const int32_t* bias,
                                    int32_t* acc) {
  (void)steps;
  (void)column_stride;
  filter_3x3(1, columns, NULL, rows, b, bias, acc);
}

void oaq_depthwise_i32_3x3_s2_sse41(size_t columns, size_t steps, const void* const* rows,
                                    size_t column_stride, const void* b, const int32_t* bias,
                                    int32_t* acc) {
  (void)steps;
  (void)column_stride;
  filter_3x3(2, columns, NULL, rows, b, bias, acc);
}
