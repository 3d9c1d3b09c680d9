// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kChannels = OAQ_DEPTHWISE_CHANNELS };

void oaq_depthwise_i16_scalar(const OaqDrains* drains, const int8_t* const* a, size_t offset,
                              const int8_t* b, int32_t* acc) {
  uint32_t sums[kChannels] = {0};
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    uint16_t lanes[kChannels] = {0};
    if (drains->start != NULL) {
      memcpy(lanes, drains->start + block * kChannels, sizeof(lanes));
    }
    for (uint32_t tap = 0; tap < drains->blocks[block]; ++tap) {
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
