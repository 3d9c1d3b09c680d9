// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kRow = OAQ_GEMM_ROWS * OAQ_GEMM_LANES, kTile = OAQ_GEMM_CHANNELS * OAQ_GEMM_LANES };

// One row of activations against four channels: the 32 lanes fit eight 128-bit registers.
static void row_times_tile(const uint32_t* blocks, size_t num_blocks, const int8_t* restrict a,
                           const int8_t* restrict b, const int16_t* start, int32_t* restrict acc) {
  int32_t sums[OAQ_GEMM_CHANNELS] = {0};
  for (size_t block = 0; block < num_blocks; ++block) {
    uint16_t lanes[OAQ_GEMM_CHANNELS][OAQ_GEMM_LANES];
    if (start != NULL) {
      memcpy(lanes, start + block * kTile, sizeof(lanes));
    } else {
      memset(lanes, 0, sizeof(lanes));
    }
    for (uint32_t step = 0; step < blocks[block]; ++step) {
      for (size_t n = 0; n < OAQ_GEMM_CHANNELS; ++n) {
        for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) {
          const int16_t product = (int16_t)(a[l] * b[n * OAQ_GEMM_LANES + l]);
          lanes[n][l] = (uint16_t)(lanes[n][l] + (uint16_t)product);
        }
      }
      a += kRow;
      b += kTile;
    }
    for (size_t n = 0; n < OAQ_GEMM_CHANNELS; ++n) {
      int32_t sum = 0;
      for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) sum += (int16_t)lanes[n][l];
      sums[n] = (int32_t)((uint32_t)sums[n] + (uint32_t)sum);
    }
  }
  memcpy(acc, sums, sizeof(sums));
}

void oaq_gemm_i16_c8_4x4_scalar(size_t rows, const uint32_t* blocks, size_t num_blocks,
                                const int8_t* a, const int8_t* b, const int16_t* start,
                                int32_t* acc) {
  assert(rows <= OAQ_GEMM_ROWS);
  for (size_t m = 0; m < rows; ++m) {
    row_times_tile(blocks, num_blocks, a + m * OAQ_GEMM_LANES, b, start,
                   acc + m * OAQ_GEMM_CHANNELS);
  }
}
