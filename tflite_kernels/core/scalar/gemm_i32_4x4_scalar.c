// SPDX-License-Identifier: Apache-2.0
#include "core/scalar/kernels_scalar.h"

enum { kLanes = 8, kChannels = 4, kTile = kChannels * kLanes };

static void add_segment(size_t steps, const int8_t* restrict a, const int8_t* restrict b,
                        int32_t* restrict wide) {
  for (size_t step = 0; step < steps; ++step) {
    // Products in an array of their own: compilers multiply in 16 bits only then.
    int16_t products[kLanes];
    for (size_t l = 0; l < kLanes; ++l) products[l] = (int16_t)(a[l] * b[l]);
    for (size_t l = 0; l < kLanes; ++l) {
      wide[l] = (int32_t)((uint32_t)wide[l] + (uint32_t)(int32_t)products[l]);
    }
    a += kLanes;
    b += kTile;
  }
}

static int32_t lane_dot(const OaqRows* rows, size_t row, const int8_t* b) {
  const int8_t* codes = (const int8_t*)rows->codes + row * rows->stride;
  int32_t wide[kLanes] = {0};
  for (size_t segment = 0; segment < rows->num_segments; ++segment) {
    add_segment(rows->segment_steps, codes + rows->offsets[segment], b, wide);
    b += rows->segment_steps * kTile;
  }
  uint32_t sum = 0;
  for (size_t l = 0; l < kLanes; ++l) sum += (uint32_t)wide[l];
  return (int32_t)sum;
}

void oaq_gemm_i32_4x4_scalar(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                             int32_t* acc) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < kChannels; ++n) {
      const int32_t sum = lane_dot(a, m, (const int8_t*)b + n * kLanes);
      acc[m * kChannels + n] = (int32_t)((uint32_t)bias[n] + (uint32_t)sum);
    }
  }
}
