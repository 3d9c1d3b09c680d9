// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kRow = OAQ_GEMM_ROWS * OAQ_GEMM_LANES, kTile = OAQ_GEMM_CHANNELS * OAQ_GEMM_LANES };

static void row_times_tile(size_t steps, const int8_t* restrict a, const int8_t* restrict b,
                           int32_t* restrict acc) {
  uint32_t sums[OAQ_GEMM_CHANNELS] = {0};
  for (size_t step = 0; step < steps; ++step) {
    for (size_t n = 0; n < OAQ_GEMM_CHANNELS; ++n) {
      // Eight products of at most 2^14 cannot overflow, which lets compilers use a dot product.
      int32_t sum = 0;
      for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) sum += a[l] * b[n * OAQ_GEMM_LANES + l];
      sums[n] += (uint32_t)sum;
    }
    a += kRow;
    b += kTile;
  }
  memcpy(acc, sums, sizeof(sums));
}

void oaq_gemm_i32_4x4_scalar(size_t rows, size_t steps, const int8_t* a, const int8_t* b,
                             int32_t* acc) {
  assert(rows <= OAQ_GEMM_ROWS);
  for (size_t m = 0; m < rows; ++m) {
    row_times_tile(steps, a + m * OAQ_GEMM_LANES, b, acc + m * OAQ_GEMM_CHANNELS);
  }
}
