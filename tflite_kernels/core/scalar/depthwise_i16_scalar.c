// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kChannels = 16 };

void oaq_depthwise_i16_scalar(size_t columns, const OaqDrains* drains, const void* const* taps,
                              size_t column_stride, const int8_t* b, const int32_t* bias,
                              int32_t* acc) {
  for (size_t n = 0; n < columns; ++n) {
    const int8_t* weights = b;
    const void* const* tap = taps;
    uint32_t sums[kChannels];
    memcpy(sums, bias, sizeof(sums));
    for (size_t block = 0; block < drains->num_blocks; ++block) {
      uint16_t lanes[kChannels] = {0};
      if (drains->start != NULL) {
        memcpy(lanes, drains->start + block * kChannels, sizeof(lanes));
      }
      for (uint32_t step = 0; step < drains->blocks[block]; ++step) {
        const int8_t* codes = (const int8_t*)*tap++ + n * column_stride;
        for (size_t c = 0; c < kChannels; ++c) {
          const int16_t product = (int16_t)(codes[c] * weights[c]);
          lanes[c] = (uint16_t)(lanes[c] + (uint16_t)product);
        }
        weights += kChannels;
      }
      for (size_t c = 0; c < kChannels; ++c) {
        const int32_t drained = (int16_t)lanes[c];
        sums[c] += (uint32_t)drained;
      }
    }
    memcpy(acc + n * kChannels, sums, sizeof(sums));
  }
}
