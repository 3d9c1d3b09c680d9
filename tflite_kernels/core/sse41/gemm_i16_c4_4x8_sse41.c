// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/kernels_sse41.h"
#include "core/sse41/vector_sse41.h"

static inline Vector multiply(Vector codes, Vector weights) {
  return _mm_maddubs_epi16(codes, weights);
}

static inline Vector add_lanes(Vector a, Vector b) { return _mm_add_epi16(a, b); }

static inline Vector multiply_add(Vector lanes, Vector codes, Vector weights) {
  return add_lanes(lanes, multiply(codes, weights));
}

static inline Vector drain(Vector sums, Vector lanes) {
  return _mm_add_epi32(sums, _mm_madd_epi16(lanes, _mm_set1_epi16(1)));
}

#include "core/x86/gemm_i16.h"

void oaq_gemm_i16_c4_4x8_sse41(size_t rows, const OaqDrains* drains, const OaqRows* a,
                               const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm_i16(rows, drains, a, b, bias, acc);
}
