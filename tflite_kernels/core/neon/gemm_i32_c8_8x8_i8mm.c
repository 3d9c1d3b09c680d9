// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>

#include "core/neon/inline.h"
#include "core/neon/kernels_neon.h"

// SMMLA: eight products of codes in each of four sums, of two rows and two channels. Rows are
// loaded two steps at once and zipped, so that a register has a step of two rows; weights lie that
// way, a register two channels.

enum { kRows = 8, kChannels = 8, kPairs = kChannels / 2, kStep = 8, kTileStep = kChannels * kStep };

OAQ_INLINE int64x2_t load(const int8_t* codes) { return vreinterpretq_s64_s8(vld1q_s8(codes)); }

OAQ_INLINE void add_products(int64x2_t codes, const int8x16_t* weights, int32x4_t* sums) {
  for (size_t n = 0; n < kPairs; ++n) {
    sums[n] = vmmlaq_s32(sums[n], vreinterpretq_s8_s64(codes), weights[n]);
  }
}

// A single row is both of its pair. The barrier is for gcc 12, which else loads all rows first, and
// spills.
OAQ_INLINE void add_two_steps(size_t rows, const int8_t* a, size_t stride, const int8_t* b,
                              int32x4_t sums[][kPairs]) {
  int8x16_t weights[2 * kPairs];
  for (size_t n = 0; n < 2 * kPairs; ++n) weights[n] = vld1q_s8(b + 2 * n * kStep);
  for (size_t m = 0; m < rows; m += 2) {
    const int64x2_t upper = load(a + m * stride);
    const int64x2_t lower = rows == 1 ? upper : load(a + (m + 1) * stride);
    add_products(vzip1q_s64(upper, lower), weights, sums[m / 2]);
    add_products(vzip2q_s64(upper, lower), weights + kPairs, sums[m / 2]);
    __asm__ volatile("" ::: "memory");
  }
}

OAQ_INLINE void add_step(size_t rows, const int8_t* a, size_t stride, const int8_t* b,
                         int32x4_t sums[][kPairs]) {
  int8x16_t weights[kPairs];
  for (size_t n = 0; n < kPairs; ++n) weights[n] = vld1q_s8(b + 2 * n * kStep);
  for (size_t m = 0; m < rows; m += 2) {
    const int8x8_t upper = vld1_s8(a + m * stride);
    const int8x8_t lower = rows == 1 ? upper : vld1_s8(a + (m + 1) * stride);
    add_products(vreinterpretq_s64_s8(vcombine_s8(upper, lower)), weights, sums[m / 2]);
  }
}

OAQ_INLINE int32x4_t row_of(const int32x4_t* pairs, bool second) {
  const int64x2_t x = vreinterpretq_s64_s32(pairs[0]), y = vreinterpretq_s64_s32(pairs[1]);
  return vreinterpretq_s32_s64(second ? vzip2q_s64(x, y) : vzip1q_s64(x, y));
}

OAQ_INLINE void multiply(size_t rows, size_t calls, const OaqRows* a, const int8_t* b,
                         const int32_t* bias, int32_t* acc) {
  const int8_t* codes = a->codes;
  for (; calls > 0; --calls, codes += rows * a->stride, acc += rows * kChannels) {
    int32x4_t sums[kRows / 2][kPairs];
    for (size_t m = 0; m < (rows + 1) / 2; ++m) {
      for (size_t n = 0; n < kPairs; ++n) {
        const int32x2_t start = vld1_s32(bias + 2 * n);
        sums[m][n] = vcombine_s32(start, start);
      }
    }
    const int8_t* weights = b;
    for (size_t i = 0; i < a->num_segments; ++i) {
      const int8_t* from = codes + a->offsets[i];
      size_t steps = a->segment_steps;
      for (; steps >= 2; steps -= 2, from += 2 * kStep, weights += 2 * kTileStep) {
        add_two_steps(rows, from, a->stride, weights, sums);
      }
      if (steps > 0) {
        add_step(rows, from, a->stride, weights, sums);
        weights += kTileStep;
      }
    }
    for (size_t m = 0; m < rows; ++m) {
      vst1q_s32(acc + m * kChannels, row_of(&sums[m / 2][0], m % 2 != 0));
      vst1q_s32(acc + m * kChannels + 4, row_of(&sums[m / 2][2], m % 2 != 0));
    }
  }
}

#define OAQ_FOR_COUNTS(define) define(8) define(4) define(2) define(1)
#define OAQ_DEFINE(count)                                                             \
  OAQ_NOINLINE void multiply_##count(size_t calls, const OaqRows* a, const int8_t* b, \
                                     const int32_t* bias, int32_t* acc) {             \
    multiply(count, calls, a, b, bias, acc);                                          \
  }
OAQ_FOR_COUNTS(OAQ_DEFINE)

void oaq_gemm_i32_c8_8x8_i8mm(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                              int32_t* acc) {
  OaqRows from = *a;
#define OAQ_RUN(count)                                                    \
  if (rows >= count) {                                                    \
    const size_t calls = rows / count;                                    \
    multiply_##count(calls, &from, b, bias, acc);                         \
    from.codes = (const int8_t*)from.codes + count * calls * from.stride; \
    acc += count * calls * kChannels;                                     \
    rows -= count * calls;                                                \
  }
  OAQ_FOR_COUNTS(OAQ_RUN)
#undef OAQ_RUN
}
