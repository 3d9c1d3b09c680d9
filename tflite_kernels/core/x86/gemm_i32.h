// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_GEMM_I32_H_
#define OAQ_CORE_X86_GEMM_I32_H_

#include "core/kernels.h"
#include "core/x86/gemm_steps.h"

// int32 sums throughout. store(p, v) besides what gemm_steps.h wants.

OAQ_INLINE void multiply_i32(size_t rows, bool whole, size_t calls, const OaqRows* a, const void* b,
                             const int32_t* bias, int32_t* acc) {
  const int8_t* codes = a->codes;
  for (; calls > 0; --calls, codes += rows * a->stride, acc += rows * kChannels) {
    Reader reader = read_from(a, codes, b);
    Vector sums[OAQ_ROWS][OAQ_VECTORS];
    for (size_t m = 0; m < rows; ++m) {
      sums[m][0] = load(bias);
      if (kLast > 0) sums[m][kLast] = load(bias + kLast * kVectorChannels);
    }
    add_steps(rows, a->num_segments * a->segment_steps, whole, &reader, sums);
    for (size_t m = 0; m < rows; ++m) {
      store(acc + m * kChannels, sums[m][0]);
      if (kLast > 0) store(acc + m * kChannels + kLast * kVectorChannels, sums[m][kLast]);
    }
  }
}

#define OAQ_DEFINE_I32(count)                                                                \
  OAQ_NOINLINE void multiply_##count(size_t calls, const OaqRows* a, const void* b,          \
                                     const int32_t* bias, int32_t* acc) {                    \
    multiply_i32(count, true, calls, a, b, bias, acc);                                       \
  }                                                                                          \
  OAQ_NOINLINE void multiply_segments_##count(size_t calls, const OaqRows* a, const void* b, \
                                              const int32_t* bias, int32_t* acc) {           \
    multiply_i32(count, false, calls, a, b, bias, acc);                                      \
  }

OAQ_FOR_COUNTS(OAQ_DEFINE_I32)

OAQ_INLINE void gemm_i32(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                         int32_t* acc) {
  OaqRows from = *a;
#define OAQ_RUN(count)                                       \
  if (rows >= count) {                                       \
    const size_t calls = rows / count;                       \
    if (a->num_segments == 1) {                              \
      multiply_##count(calls, &from, b, bias, acc);          \
    } else {                                                 \
      multiply_segments_##count(calls, &from, b, bias, acc); \
    }                                                        \
    skip_rows(count, calls, &from, &acc);                    \
    rows -= calls * count;                                   \
  }
  OAQ_FOR_COUNTS(OAQ_RUN)
#undef OAQ_RUN
}

#endif  // OAQ_CORE_X86_GEMM_I32_H_
