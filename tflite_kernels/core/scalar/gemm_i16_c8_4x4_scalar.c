// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kRow = OAQ_GEMM_ROWS * OAQ_GEMM_LANES, kTile = OAQ_GEMM_CHANNELS * OAQ_GEMM_LANES };

// gcc 12 -O3 unrolls the loop over the lanes and then vectorizes over the steps, which is slow, and
// on aarch64 gives wrong sums. Kept a loop, it becomes one vector operation.
#if defined(__GNUC__) && !defined(__clang__)
#define OAQ_KEEP_LOOP _Pragma("GCC unroll 1")
#else
#define OAQ_KEEP_LOOP
#endif

// One output at a time: eight lanes are one 128-bit register, and compilers keep it there. They
// spill the 32 lanes of four channels at once, which costs six times as much.
static int32_t lane_dot(const OaqDrains* drains, size_t channel, const int8_t* restrict a,
                        const int8_t* restrict b) {
  int32_t wide[OAQ_GEMM_LANES] = {0};
  OAQ_COUNTING(OaqTally tally = {0};)
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    const size_t first = block * kTile + channel * OAQ_GEMM_LANES;
    uint16_t lanes[OAQ_GEMM_LANES] = {0};
    OAQ_COUNTING(int64_t values[OAQ_GEMM_LANES] = {0};)
    if (drains->start != NULL) {
      memcpy(lanes, drains->start + first, sizeof(lanes));
      OAQ_COUNTING(memcpy(values, drains->true_start + first, sizeof(values));)
    }
    for (uint32_t step = 0; step < drains->blocks[block]; ++step) {
      OAQ_KEEP_LOOP
      for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) {
        const int16_t product = (int16_t)(a[l] * b[l]);
        lanes[l] = (uint16_t)(lanes[l] + (uint16_t)product);
        OAQ_COUNTING(values[l] += product;)
      }
      a += kRow;
      b += kTile;
    }
    for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) {
      const int32_t drained = (int16_t)lanes[l];
      OAQ_COUNTING(oaq_tally_drain(&tally, values[l], (int16_t)lanes[l]);)
      wide[l] = (int32_t)((uint32_t)wide[l] + (uint32_t)drained);
    }
  }
  OAQ_COUNTING(oaq_overflows_add(drains->overflows, &tally);)
  uint32_t sum = 0;
  for (size_t l = 0; l < OAQ_GEMM_LANES; ++l) sum += (uint32_t)wide[l];
  return (int32_t)sum;
}

void oaq_gemm_i16_c8_4x4_scalar(size_t rows, const OaqDrains* drains, const int8_t* a,
                                const int8_t* b, int32_t* acc) {
  assert(rows <= OAQ_GEMM_ROWS);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < OAQ_GEMM_CHANNELS; ++n) {
      acc[m * OAQ_GEMM_CHANNELS + n] =
          lane_dot(drains, n, a + m * OAQ_GEMM_LANES, b + n * OAQ_GEMM_LANES);
    }
  }
}
