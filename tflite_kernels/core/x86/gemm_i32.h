// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_GEMM_I32_H_
#define OAQ_CORE_X86_GEMM_I32_H_

#include "core/kernels.h"
#include "core/x86/gemm_steps.h"

// int32 sums throughout. store(p, v) besides what gemm_steps.h wants.

OAQ_INLINE void multiply_i32(size_t rows, bool whole, const OaqRows* a, const void* b,
                             const int32_t* bias, int32_t* acc) {
  Reader reader = read_from(a, b);
  Vector sums[OAQ_ROWS][2];
  for (size_t m = 0; m < rows; ++m) {
    sums[m][0] = load(bias);
    sums[m][1] = load(bias + kVectorChannels);
  }
  add_steps(rows, a->num_segments * a->segment_steps, whole, &reader, sums);
  for (size_t m = 0; m < rows; ++m) {
    store(acc + m * kChannels, sums[m][0]);
    store(acc + m * kChannels + kVectorChannels, sums[m][1]);
  }
}

OAQ_INLINE void gemm_i32(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                         int32_t* acc) {
  if (a->num_segments == 1) {
    OAQ_FOR_ROWS(rows, multiply_i32, true, a, b, bias, acc)
  } else {
    OAQ_FOR_ROWS(rows, multiply_i32, false, a, b, bias, acc)
  }
}

#endif  // OAQ_CORE_X86_GEMM_I32_H_
