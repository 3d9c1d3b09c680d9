// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kChannels = OAQ_DEPTHWISE_CHANNELS };

void oaq_depthwise_i32_scalar(size_t taps, const int8_t* const* a, size_t offset, const int8_t* b,
                              int32_t* acc) {
  uint32_t sums[kChannels] = {0};
  for (size_t tap = 0; tap < taps; ++tap) {
    const int8_t* codes = a[tap] + offset;
    for (size_t c = 0; c < kChannels; ++c) {
      const int32_t product = codes[c] * b[c];
      sums[c] += (uint32_t)product;
    }
    b += kChannels;
  }
  memcpy(acc, sums, sizeof(sums));
}
