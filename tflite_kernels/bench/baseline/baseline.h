// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_BASELINE_BASELINE_H_
#define OAQ_BENCH_BASELINE_BASELINE_H_

#include <stddef.h>
#include <stdint.h>

// What the kernels are measured against: the schemes that int8 libraries without the proof of this
// one use on x86, widening each code before it multiplies.

enum { kBaselineRows = 3, kBaselineStep = 8 };

// acc[m][n] = bias[n] + sum_k a[m][k] * b[n][k] for kBaselineRows rows; a step is eight k, and b is
// [steps][channels][8]. Eight channels with AVX2, four with SSE4.1.
typedef void (*BaselineGemm)(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                             const int32_t* bias, int32_t* acc);
void baseline_gemm_3x8_c8_avx2(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                               const int32_t* bias, int32_t* acc);
void baseline_gemm_3x4_c8_sse41(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                                const int32_t* bias, int32_t* acc);

enum { kBaselineTaps = 9, kBaselineGroup = 16 };

// acc[n][c] = bias[c] + sum_t taps[t][n * column_stride + c] * b[c / 16][t][c % 16] for all columns
// and all channels, a multiple of kBaselineGroup.
typedef void (*BaselineDepthwise)(size_t columns, size_t channels, const int8_t* const* taps,
                                  size_t column_stride, const int8_t* b, const int32_t* bias,
                                  int32_t* acc);
void baseline_depthwise_9_avx2(size_t columns, size_t channels, const int8_t* const* taps,
                               size_t column_stride, const int8_t* b, const int32_t* bias,
                               int32_t* acc);
void baseline_depthwise_9_sse41(size_t columns, size_t channels, const int8_t* const* taps,
                                size_t column_stride, const int8_t* b, const int32_t* bias,
                                int32_t* acc);

#endif  // OAQ_BENCH_BASELINE_BASELINE_H_
