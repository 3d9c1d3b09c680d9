// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kChannels = OAQ_DEPTHWISE_CHANNELS };

void oaq_depthwise_i16_scalar(const uint32_t* blocks, size_t num_blocks, const int8_t* const* a,
                              size_t offset, const int8_t* b, const int16_t* start, int32_t* acc) {
  uint32_t sums[kChannels] = {0};
  for (size_t block = 0; block < num_blocks; ++block) {
    uint16_t lanes[kChannels];
    if (start != NULL) {
      memcpy(lanes, start + block * kChannels, sizeof(lanes));
    } else {
      memset(lanes, 0, sizeof(lanes));
    }
    for (uint32_t tap = 0; tap < blocks[block]; ++tap) {
      const int8_t* codes = *a++ + offset;
      for (size_t c = 0; c < kChannels; ++c) {
        const int16_t product = (int16_t)(codes[c] * b[c]);
        lanes[c] = (uint16_t)(lanes[c] + (uint16_t)product);
      }
      b += kChannels;
    }
    for (size_t c = 0; c < kChannels; ++c) {
      const int32_t drained = (int16_t)lanes[c];
      sums[c] += (uint32_t)drained;
    }
  }
  memcpy(acc, sums, sizeof(sums));
}
