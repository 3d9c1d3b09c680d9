// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kChannels = 16 };

void oaq_depthwise_i32_scalar(size_t columns, size_t steps, const void* const* taps,
                              size_t column_stride, const void* b, const int32_t* bias,
                              int32_t* acc) {
  for (size_t n = 0; n < columns; ++n) {
    const int8_t* weights = b;
    uint32_t sums[kChannels];
    memcpy(sums, bias, sizeof(sums));
    for (size_t step = 0; step < steps; ++step) {
      const int8_t* codes = (const int8_t*)taps[step] + n * column_stride;
      for (size_t c = 0; c < kChannels; ++c) {
        const int32_t product = codes[c] * weights[c];
        sums[c] += (uint32_t)product;
      }
      weights += kChannels;
    }
    memcpy(acc + n * kChannels, sums, sizeof(sums));
  }
}
