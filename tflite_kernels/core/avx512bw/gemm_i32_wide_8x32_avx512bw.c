// SPDX-License-Identifier: Apache-2.0
#include "core/avx512bw/kernels_avx512bw.h"
#include "core/avx512bw/vector_avx512.h"

// VPMADDWD: two products of int16 in a channel's int32. The sum in assembly: gcc 12 copies each
// accumulator to another register and back, or spills it.
static inline Vector multiply_add(Vector sums, Vector codes, Vector weights) {
  const Vector products = _mm512_madd_epi16(codes, weights);
  __asm__("vpaddd %1, %0, %0" : "+v"(sums) : "v"(products));
  return sums;
}

#define OAQ_ROWS 8
#define OAQ_VECTORS 2
#include "core/x86/gemm_i32.h"

void oaq_gemm_i32_wide_8x32_avx512bw(size_t rows, const OaqRows* a, const void* b,
                                     const int32_t* bias, int32_t* acc) {
  gemm_i32(rows, a, b, bias, acc);
}
