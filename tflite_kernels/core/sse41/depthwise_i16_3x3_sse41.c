// SPDX-License-Identifier: Apache-2.0
#include <assert.h>

#include "core/sse41/depthwise_sse41.h"
#include "core/sse41/depthwise_vectors_i16_sse41.h"
#include "core/x86/depthwise_3x3.h"

void oaq_depthwise_i16_3x3_s1_sse41(size_t columns, const OaqDrains* drains,
                                    const void* const* rows, size_t column_stride, const int8_t* b,
                                    const int32_t* bias, int32_t* acc) {
  assert(drains->num_blocks == 1);
  (void)column_stride;
  if (drains->start == NULL) {
    filter_3x3(1, columns, NULL, rows, b, bias, acc);
  } else {
    filter_3x3(1, columns, drains->start, rows, b, bias, acc);
  }
}

void oaq_depthwise_i16_3x3_s2_sse41(size_t columns, const OaqDrains* drains,
                                    const void* const* rows, size_t column_stride, const int8_t* b,
                                    const int32_t* bias, int32_t* acc) {
  assert(drains->num_blocks == 1);
  (void)column_stride;
  if (drains->start == NULL) {
    filter_3x3(2, columns, NULL, rows, b, bias, acc);
  } else {
    filter_3x3(2, columns, drains->start, rows, b, bias, acc);
  }
}
