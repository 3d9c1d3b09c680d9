// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>

#include "bench/baseline/baseline_arm.h"

// Two products in a lane of 16 bits, which fit where no weight is -128, then into 32 bits: as far
// as libraries without the proof of this one get on CPUs without dot products. In assembly:
// compilers keep some of the sums in memory.
void baseline_gemm_2x4_c8_neon(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                               const int32_t* bias, int32_t* acc) {
  int32x4_t sums[2][4];
  for (size_t m = 0; m < 2; ++m) {
    for (size_t n = 0; n < 4; ++n) sums[m][n] = vdupq_n_s32(0);
  }
  const int8_t* next = a + a_stride;
#define BASELINE_TWO_CHANNELS(first, second) \
  "vld1.8 {d4-d7}, [%[b]]!\n"                \
  "vmull.s8 q4, d0, d4\n"                    \
  "vmull.s8 q5, d2, d4\n"                    \
  "vmull.s8 q6, d0, d6\n"                    \
  "vmull.s8 q7, d2, d6\n"                    \
  "vmlal.s8 q4, d1, d5\n"                    \
  "vmlal.s8 q5, d3, d5\n"                    \
  "vmlal.s8 q6, d1, d7\n"                    \
  "vmlal.s8 q7, d3, d7\n"                    \
  "vpadal.s16 %q[a" #first                   \
  "], q4\n"                                  \
  "vpadal.s16 %q[b" #first                   \
  "], q5\n"                                  \
  "vpadal.s16 %q[a" #second                  \
  "], q6\n"                                  \
  "vpadal.s16 %q[b" #second "], q7\n"
  __asm__ volatile(
      "1:\n"
      "subs %[steps], %[steps], #2\n"
      "vld1.8 {d0-d1}, [%[a]]!\n"
      "vld1.8 {d2-d3}, [%[next]]!\n" BASELINE_TWO_CHANNELS(0, 1)
          BASELINE_TWO_CHANNELS(2, 3) "bne 1b\n"
      : [steps] "+r"(steps), [a] "+r"(a), [next] "+r"(next), [b] "+r"(b), [a0] "+w"(sums[0][0]),
        [a1] "+w"(sums[0][1]), [a2] "+w"(sums[0][2]), [a3] "+w"(sums[0][3]), [b0] "+w"(sums[1][0]),
        [b1] "+w"(sums[1][1]), [b2] "+w"(sums[1][2]), [b3] "+w"(sums[1][3])
      :
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
#undef BASELINE_TWO_CHANNELS
  for (size_t m = 0; m < 2; ++m) {
    int32x2_t halves[4];
    for (size_t n = 0; n < 4; ++n) {
      halves[n] = vadd_s32(vget_low_s32(sums[m][n]), vget_high_s32(sums[m][n]));
    }
    const int32x4_t all =
        vcombine_s32(vpadd_s32(halves[0], halves[1]), vpadd_s32(halves[2], halves[3]));
    vst1q_s32(acc + 4 * m, vaddq_s32(vld1q_s32(bias), all));
  }
}
