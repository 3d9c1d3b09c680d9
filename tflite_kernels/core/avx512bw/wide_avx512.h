// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX512BW_WIDE_AVX512_H_
#define OAQ_CORE_AVX512BW_WIDE_AVX512_H_

#include "core/avx512bw/vector_avx512.h"

// What core/x86/gemm_i32.h wants, for tiles of either width.

// VPMADDWD: two products of int16 in a channel's int32. The sum in assembly: gcc 12 copies each
// accumulator to another register and back, or spills it.
static inline Vector multiply_add(Vector sums, Vector codes, Vector weights) {
  const Vector products = _mm512_madd_epi16(codes, weights);
  __asm__("vpaddd %1, %0, %0" : "+v"(sums) : "v"(products));
  return sums;
}

#endif  // OAQ_CORE_AVX512BW_WIDE_AVX512_H_
