// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/depthwise_sse41.h"
#include "core/sse41/depthwise_vectors_i16_sse41.h"
#include "core/x86/depthwise_any.h"

void oaq_depthwise_i16_sse41(size_t columns, const OaqDrains* drains, const void* const* taps,
                             size_t column_stride, const int8_t* b, const int32_t* bias,
                             int32_t* acc) {
  if (drains->start == NULL) {
    any_filter(columns, drains->blocks, drains->num_blocks, NULL, taps, column_stride, b, bias,
               acc);
  } else {
    any_filter(columns, drains->blocks, drains->num_blocks, drains->start, taps, column_stride, b,
               bias, acc);
  }
}
