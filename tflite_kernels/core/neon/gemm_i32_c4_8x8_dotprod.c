// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>
#include <string.h>

#include "core/neon/inline.h"
#include "core/neon/kernels_neon.h"

// SDOT: four products of codes in a channel's int32. Four steps of a row are one register, of which
// an instruction takes one step; a step's weights are two.

enum {
  kRows = 8,
  kVectors = 2,
  kChannels = 4 * kVectors,
  kStep = 4,
  kTileStep = kChannels * kStep
};

OAQ_INLINE void add_four_steps(size_t rows, const int8_t* a, size_t stride, const int8_t* b,
                               int32x4_t sums[][kVectors]) {
  int8x16_t codes[kRows];
  for (size_t m = 0; m < rows; ++m) codes[m] = vld1q_s8(a + m * stride);
#define OAQ_STEP(s)                                                       \
  {                                                                       \
    const int8x16_t first = vld1q_s8(b + (s) * kTileStep);                \
    const int8x16_t last = vld1q_s8(b + (s) * kTileStep + kTileStep / 2); \
    for (size_t m = 0; m < rows; ++m) {                                   \
      sums[m][0] = vdotq_laneq_s32(sums[m][0], first, codes[m], (s));     \
      sums[m][1] = vdotq_laneq_s32(sums[m][1], last, codes[m], (s));      \
    }                                                                     \
  }
  OAQ_STEP(0) OAQ_STEP(1) OAQ_STEP(2) OAQ_STEP(3)
#undef OAQ_STEP
}

OAQ_INLINE void add_step(size_t rows, const int8_t* a, size_t stride, const int8_t* b,
                         int32x4_t sums[][kVectors]) {
  const int8x16_t first = vld1q_s8(b);
  const int8x16_t last = vld1q_s8(b + kTileStep / 2);
  for (size_t m = 0; m < rows; ++m) {
    int32_t four;
    memcpy(&four, a + m * stride, sizeof(four));
    const int8x16_t codes = vreinterpretq_s8_s32(vdupq_n_s32(four));
    sums[m][0] = vdotq_s32(sums[m][0], first, codes);
    sums[m][1] = vdotq_s32(sums[m][1], last, codes);
  }
}

OAQ_INLINE void multiply(size_t rows, size_t calls, const OaqRows* a, const int8_t* b,
                         const int32_t* bias, int32_t* acc) {
  const int8_t* codes = a->codes;
  for (; calls > 0; --calls, codes += rows * a->stride, acc += rows * kChannels) {
    int32x4_t sums[kRows][kVectors];
    for (size_t m = 0; m < rows; ++m) {
      sums[m][0] = vld1q_s32(bias);
      sums[m][1] = vld1q_s32(bias + 4);
    }
    const int8_t* weights = b;
    for (size_t i = 0; i < a->num_segments; ++i) {
      const int8_t* from = codes + a->offsets[i];
      size_t steps = a->segment_steps;
      for (; steps >= 4; steps -= 4, from += 4 * kStep, weights += 4 * kTileStep) {
        add_four_steps(rows, from, a->stride, weights, sums);
      }
      for (; steps > 0; --steps, from += kStep, weights += kTileStep) {
        add_step(rows, from, a->stride, weights, sums);
      }
    }
    for (size_t m = 0; m < rows; ++m) {
      vst1q_s32(acc + m * kChannels, sums[m][0]);
      vst1q_s32(acc + m * kChannels + 4, sums[m][1]);
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

void oaq_gemm_i32_c4_8x8_dotprod(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
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
