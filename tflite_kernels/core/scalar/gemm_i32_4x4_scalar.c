// SPDX-License-Identifier: Apache-2.0
#include <assert.h>

#include "core/scalar/kernels_scalar.h"

enum { kRow = OAQ_GEMM_ROWS * OAQ_GEMM_LANES, kTile = OAQ_GEMM_CHANNELS * OAQ_GEMM_LANES };

static int32_t lane_dot(size_t steps, const int8_t* restrict a, const int8_t* restrict b) {
  int32_t wide[OAQ_GEMM_LANES] = {0};
  for (size_t step = 0; step < steps; ++step) {
    // Products in an array of their own: compilers multiply in 16 bits only then.
    int16_t products[OAQ_GEMM_LANES];
    for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) products[l] = (int16_t)(a[l] * b[l]);
    for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) {
      wide[l] = (int32_t)((uint32_t)wide[l] + (uint32_t)(int32_t)products[l]);
    }
    a += kRow;
    b += kTile;
  }
  uint32_t sum = 0;
  for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) sum += (uint32_t)wide[l];
  return (int32_t)sum;
}

void oaq_gemm_i32_4x4_scalar(size_t rows, size_t steps, const int8_t* a, const int8_t* b,
                             int32_t* acc) {
  assert(rows <= OAQ_GEMM_ROWS);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < OAQ_GEMM_CHANNELS; ++n) {
      acc[m * OAQ_GEMM_CHANNELS + n] =
          lane_dot(steps, a + m * OAQ_GEMM_LANES, b + n * OAQ_GEMM_LANES);
    }
  }
}
