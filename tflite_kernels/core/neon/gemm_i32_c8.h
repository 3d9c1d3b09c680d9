// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_GEMM_I32_C8_H_
#define OAQ_CORE_NEON_GEMM_I32_C8_H_

#include "core/neon/gemm_c8.h"

// int32 sums throughout: SADALP adds the lanes of each product, or of two where `paired`, a
// constant, says that they fit 16 bits, to four sums an output.

OAQ_INLINE void add_step(size_t rows, size_t stride, const int8_t* a, const int8_t* b,
                         int32x4_t wide[][kChannels]) {
  const Weights weights = load_weights(b);
  for (size_t m = 0; m < rows; ++m) {
    const int8x8_t codes = vld1_s8(a + m * stride);
    for (size_t n = 0; n < kChannels; ++n) {
      wide[m][n] = vpadalq_s16(wide[m][n], vmull_s8(codes, weights.channel[n]));
    }
  }
}

// Has a row's products made by here, and their sums before the next row's: gcc 12 would make all
// products first, and spill.
#if defined(__GNUC__) && !defined(__clang__)
#define OAQ_FINISH(products)                                                        \
  __asm__ volatile(""                                                               \
                   : "+w"((products)[0]), "+w"((products)[1]), "+w"((products)[2]), \
                     "+w"((products)[3]))
#else
#define OAQ_FINISH(products) (void)(products)
#endif

OAQ_INLINE void add_two_steps(size_t rows, size_t stride, const int8_t* a, const int8_t* b,
                              int32x4_t wide[][kChannels]) {
  const Weights first = load_weights(b);
  const Weights second = load_weights(b + kTileStep);
  for (size_t m = 0; m < rows; ++m) {
    const int8x8_t codes = vld1_s8(a + m * stride);
    const int8x8_t next = vld1_s8(a + m * stride + kLanes);
    int16x8_t products[kChannels];
    for (size_t n = 0; n < kChannels; ++n) {
      products[n] = vmlal_s8(vmull_s8(codes, first.channel[n]), next, second.channel[n]);
    }
    OAQ_FINISH(products);
    for (size_t n = 0; n < kChannels; ++n) wide[m][n] = vpadalq_s16(wide[m][n], products[n]);
  }
}

OAQ_INLINE void add_segment(size_t rows, bool paired, size_t steps, size_t stride, const int8_t* a,
                            const int8_t* b, int32x4_t wide[][kChannels]) {
  for (; paired && steps >= 2; steps -= 2, a += 2 * kLanes, b += 2 * kTileStep) {
    add_two_steps(rows, stride, a, b, wide);
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
      vst1q_s32(acc + m * kChannels, vaddq_s32(vld1q_s32(bias), reduce(wide[m])));
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
