// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_GEMM_I32_C8_H_
#define OAQ_CORE_NEON_GEMM_I32_C8_H_

#include "core/neon/gemm_c8.h"

// int32 sums throughout: SADALP adds the lanes of each product, or of two where `paired`, a
// constant, says that they fit 16 bits, to four sums an output.

// Has four products made by here, and their sums before the next four: gcc 12 would make all
// products first, and spill.
#if defined(__GNUC__) && !defined(__clang__)
#define OAQ_FINISH(first, second, third, fourth) \
  __asm__ volatile("" : "+w"(first), "+w"(second), "+w"(third), "+w"(fourth))
#else
#define OAQ_FINISH(first, second, third, fourth)
#endif

OAQ_INLINE void add_step(size_t rows, size_t stride, const int8_t* a, const int8_t* b,
                         int32x4_t wide[][kChannels]) {
  const Weights weights = load_weights(b);
  for (size_t m = 0; m < rows; ++m) {
    const int8x8_t codes = vld1_s8(a + m * stride);
    int16x8_t products[kChannels];
    for (size_t n = 0; n < kChannels; ++n) products[n] = vmull_s8(codes, weights.channel[n]);
    OAQ_FINISH(products[0], products[1], products[2], products[3]);
    for (size_t n = 0; n < kChannels; ++n) wide[m][n] = vpadalq_s16(wide[m][n], products[n]);
  }
}

OAQ_INLINE int16x8_t two_products(const int8x8_t codes[2], int8x8_t first, int8x8_t second) {
  return vmlal_s8(vmull_s8(codes[0], first), codes[1], second);
}

// Row by row, with the weights in registers.
OAQ_INLINE void add_two_steps(size_t rows, size_t stride, const int8_t* a, const int8_t* b,
                              int32x4_t wide[][kChannels]) {
  const Weights first = load_weights(b);
  const Weights second = load_weights(b + kTileStep);
  for (size_t m = 0; m < rows; ++m) {
    const int8x8_t codes[2] = {vld1_s8(a + m * stride), vld1_s8(a + m * stride + kLanes)};
    int16x8_t products[kChannels];
    for (size_t n = 0; n < kChannels; ++n) {
      products[n] = two_products(codes, first.channel[n], second.channel[n]);
    }
    OAQ_FINISH(products[0], products[1], products[2], products[3]);
    for (size_t n = 0; n < kChannels; ++n) wide[m][n] = vpadalq_s16(wide[m][n], products[n]);
  }
}

// Two channels of two rows at a time, whose codes are in registers: there are 16 of those. Loads
// are of 128 bits, which take the fewest instructions.
OAQ_INLINE void add_two_steps_of_two_rows(size_t stride, const int8_t* a, const int8_t* b,
                                          int32x4_t wide[][kChannels]) {
  const int8x16_t row = vld1q_s8(a);
  const int8x16_t next = vld1q_s8(a + stride);
  const int8x8_t upper[2] = {vget_low_s8(row), vget_high_s8(row)};
  const int8x8_t lower[2] = {vget_low_s8(next), vget_high_s8(next)};
  OAQ_UNROLL
  for (size_t n = 0; n < kChannels; n += 2) {
    const int8x16_t step0 = vld1q_s8(b + n * kLanes);
    const int8x16_t step1 = vld1q_s8(b + n * kLanes + kTileStep);
    const int8x8_t first[2] = {vget_low_s8(step0), vget_low_s8(step1)};
    const int8x8_t second[2] = {vget_high_s8(step0), vget_high_s8(step1)};
    int16x8_t products[4] = {
        two_products(upper, first[0], first[1]), two_products(upper, second[0], second[1]),
        two_products(lower, first[0], first[1]), two_products(lower, second[0], second[1])};
    OAQ_FINISH(products[0], products[1], products[2], products[3]);
    wide[0][n] = vpadalq_s16(wide[0][n], products[0]);
    wide[0][n + 1] = vpadalq_s16(wide[0][n + 1], products[1]);
    wide[1][n] = vpadalq_s16(wide[1][n], products[2]);
    wide[1][n + 1] = vpadalq_s16(wide[1][n + 1], products[3]);
  }
}

OAQ_INLINE void add_segment(size_t rows, bool paired, size_t steps, size_t stride, const int8_t* a,
                            const int8_t* b, int32x4_t wide[][kChannels]) {
  for (; paired && steps >= 2; steps -= 2, a += 2 * kLanes, b += 2 * kTileStep) {
    if (OAQ_ROWS == 2 && rows == 2) {
      add_two_steps_of_two_rows(stride, a, b, wide);
    } else {
      add_two_steps(rows, stride, a, b, wide);
    }
  }
  for (; steps > 0; --steps, a += kLanes, b += kTileStep) add_step(rows, stride, a, b, wide);
}

OAQ_INLINE void multiply_i32(size_t rows, bool paired, size_t calls, const OaqRows* a,
                             const int8_t* b, const int32_t* bias, int32_t* acc) {
  const int8_t* codes = a->codes;
  for (; calls > 0; --calls, codes += rows * a->stride, acc += rows * kChannels) {
    int32x4_t wide[OAQ_ROWS][kChannels];
    for (size_t m = 0; m < rows; ++m) {
      for (size_t n = 0; n < kChannels; ++n) wide[m][n] = vdupq_n_s32(0);
    }
    const int8_t* weights = b;
    for (size_t i = 0; i < a->num_segments; ++i) {
      add_segment(rows, paired, a->segment_steps, a->stride, codes + a->offsets[i], weights, wide);
      weights += a->segment_steps * kTileStep;
    }
    for (size_t m = 0; m < rows; ++m) {
      vst1q_s32(acc + m * kChannels, add_modulo(vld1q_s32(bias), reduce(wide[m])));
    }
  }
}

#define OAQ_DEFINE_I32(count)                                                         \
  OAQ_NOINLINE void multiply_##count(size_t calls, const OaqRows* a, const int8_t* b, \
                                     const int32_t* bias, int32_t* acc) {             \
    multiply_i32(count, OAQ_PAIRED, calls, a, b, bias, acc);                          \
  }

OAQ_FOR_COUNTS(OAQ_DEFINE_I32)

OAQ_INLINE void gemm_i32(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                         int32_t* acc) {
  OaqRows from = *a;
#define OAQ_RUN(count)                            \
  if (rows >= count) {                            \
    const size_t calls = rows / count;            \
    multiply_##count(calls, &from, b, bias, acc); \
    skip_rows(count, calls, &from, &acc);         \
    rows -= calls * count;                        \
  }
  OAQ_FOR_COUNTS(OAQ_RUN)
#undef OAQ_RUN
}

#endif  // OAQ_CORE_NEON_GEMM_I32_C8_H_
