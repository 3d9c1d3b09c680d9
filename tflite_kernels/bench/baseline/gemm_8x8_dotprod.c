// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>

#include "bench/baseline/baseline_arm.h"

// The plain loop of SDOT by lane: rows are packed as channels are, four codes of each in turn, so
// that a step is two registers of rows, two of channels and sixteen products.
void baseline_gemm_8x8_dotprod(size_t steps, const int8_t* a, const int8_t* b, const int32_t* bias,
                               int32_t* acc) {
  int32x4_t sums[8][2];
  for (size_t m = 0; m < 8; ++m) {
    sums[m][0] = vld1q_s32(bias);
    sums[m][1] = vld1q_s32(bias + 4);
  }
  for (; steps > 0; --steps, a += 32, b += 32) {
    const int8x16_t upper = vld1q_s8(a), lower = vld1q_s8(a + 16);
    const int8x16_t left = vld1q_s8(b), right = vld1q_s8(b + 16);
#define BASELINE_ROW(m, rows)                                    \
  sums[m][0] = vdotq_laneq_s32(sums[m][0], left, rows, (m) % 4); \
  sums[m][1] = vdotq_laneq_s32(sums[m][1], right, rows, (m) % 4);
    BASELINE_ROW(0, upper)
    BASELINE_ROW(1, upper)
    BASELINE_ROW(2, upper)
    BASELINE_ROW(3, upper)
    BASELINE_ROW(4, lower)
    BASELINE_ROW(5, lower)
    BASELINE_ROW(6, lower)
    BASELINE_ROW(7, lower)
#undef BASELINE_ROW
  }
  for (size_t m = 0; m < 8; ++m) {
    vst1q_s32(acc + 8 * m, sums[m][0]);
    vst1q_s32(acc + 8 * m + 4, sums[m][1]);
  }
}
