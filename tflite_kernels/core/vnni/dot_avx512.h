// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_VNNI_DOT_AVX512_H_
#define OAQ_CORE_VNNI_DOT_AVX512_H_

#include "core/avx512bw/vector_avx512.h"

// What core/x86/gemm_i32.h wants, for tiles of either width.

// VPDPBUSD: four products of codes in a channel's int32. In assembly: gcc 12 copies each
// accumulator to another register and back.
static inline Vector multiply_add(Vector sums, Vector codes, Vector weights) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(codes), "v"(weights));
  return sums;
}

#endif  // OAQ_CORE_VNNI_DOT_AVX512_H_
