// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kLanes = 8, kChannels = 4, kTile = kChannels * kLanes };

// gcc 12 -O3 unrolls the loop over the lanes and then vectorizes over the steps, which is slow, and
// on aarch64 gives wrong sums. Kept a loop, it becomes one vector operation.
#if defined(__GNUC__) && !defined(__clang__)
#define OAQ_KEEP_LOOP _Pragma("GCC unroll 1")
#else
#define OAQ_KEEP_LOOP
#endif

// One output at a time: eight lanes are one 128-bit register, and compilers keep it there. They
// spill the 32 lanes of four channels at once, which costs six times as much.
static int32_t lane_dot(const OaqDrains* drains, size_t channel, const OaqRows* rows, size_t row,
                        const int8_t* restrict b) {
  const int8_t* codes = (const int8_t*)rows->codes + row * rows->stride;
  const int8_t* restrict a = codes + rows->offsets[0];
  size_t segment = 0;
  size_t left = rows->segment_steps;
  int32_t wide[kLanes] = {0};
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    uint16_t lanes[kLanes] = {0};
    if (drains->start != NULL) {
      memcpy(lanes, drains->start + block * kTile + channel * kLanes, sizeof(lanes));
    }
    for (uint32_t step = 0; step < drains->blocks[block]; ++step) {
      OAQ_KEEP_LOOP
      for (size_t l = 0; l < kLanes; ++l) {
        const int16_t product = (int16_t)(a[l] * b[l]);
        lanes[l] = (uint16_t)(lanes[l] + (uint16_t)product);
      }
      a += kLanes;
      b += kTile;
      if (--left == 0 && ++segment < rows->num_segments) {
        a = codes + rows->offsets[segment];
        left = rows->segment_steps;
      }
    }
    for (size_t l = 0; l < kLanes; ++l) {
      const int32_t drained = (int16_t)lanes[l];
      wide[l] = (int32_t)((uint32_t)wide[l] + (uint32_t)drained);
    }
  }
  uint32_t sum = 0;
  for (size_t l = 0; l < kLanes; ++l) sum += (uint32_t)wide[l];
  return (int32_t)sum;
}

void oaq_gemm_i16_c8_4x4_scalar(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                const int8_t* b, const int32_t* bias, int32_t* acc) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < kChannels; ++n) {
      const int32_t sum = lane_dot(drains, n, a, m, b + n * kLanes);
      acc[m * kChannels + n] = (int32_t)((uint32_t)bias[n] + (uint32_t)sum);
    }
  }
}
