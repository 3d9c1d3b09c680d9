// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/kernels_sse41.h"
#include "core/sse41/vector_sse41.h"

// PMADDWD: two products of int16 in a channel's int32. The sum in assembly: gcc 12 copies each
// accumulator to another register and back.
static inline Vector multiply_add(Vector sums, Vector codes, Vector weights) {
  const Vector products = _mm_madd_epi16(codes, weights);
  __asm__("paddd %1, %0" : "+x"(sums) : "x"(products));
  return sums;
}

#include "core/x86/gemm_i32.h"

void oaq_gemm_i32_wide_4x8_sse41(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                                 int32_t* acc) {
  gemm_i32(rows, a, b, bias, acc);
}
