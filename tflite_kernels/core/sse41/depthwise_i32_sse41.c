// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/depthwise_sse41.h"
#include "core/sse41/depthwise_vectors_i32_sse41.h"
#include "core/x86/depthwise_any.h"

void oaq_depthwise_i32_sse41(size_t columns, size_t steps, const void* const* taps,
                             size_t column_stride, const void* b, const int32_t* bias,
                             int32_t* acc) {
  const uint32_t all = (uint32_t)steps;
  any_filter(columns, &all, 1, NULL, taps, column_stride, b, bias, acc);
}
