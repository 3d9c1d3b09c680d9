// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_BASELINE_BASELINE_ARM_H_
#define OAQ_BENCH_BASELINE_BASELINE_ARM_H_

#include <stddef.h>
#include <stdint.h>

// What bench_arm.py holds the loops for ARM against, as libraries without
// the proof of this one have them: compiled, and timed by models.

// acc[m][n] = bias[n] + sum_k a[m][k] * b[n][k]: 2 rows, 4 channels, b is
// [steps / 2][4][16], a step is eight k; two steps or more, an even number. 32-bit ARM.
void baseline_gemm_2x4_c8_neon(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                               const int32_t* bias, int32_t* acc);

// The same of 8 rows and 8 channels, a step is four k of a and b [steps][8][4].
void baseline_gemm_8x8_dotprod(size_t steps, const int8_t* a, const int8_t* b, const int32_t* bias,
                               int32_t* acc);

#endif  // OAQ_BENCH_BASELINE_BASELINE_ARM_H_
