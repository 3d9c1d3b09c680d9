// SPDX-License-Identifier: Apache-2.0
#include "core/avx512bw/kernels_avx512bw.h"
#include "core/avx512bw/vector_avx512.h"

static inline Vector multiply(Vector codes, Vector weights) {
  return _mm512_maddubs_epi16(codes, weights);
}

static inline Vector add_lanes(Vector a, Vector b) { return _mm512_add_epi16(a, b); }

static inline Vector multiply_add(Vector lanes, Vector codes, Vector weights) {
  return add_lanes(lanes, multiply(codes, weights));
}

static inline Vector drain(Vector sums, Vector lanes) {
  return _mm512_add_epi32(sums, _mm512_madd_epi16(lanes, _mm512_set1_epi16(1)));
}

#define OAQ_ROWS 12
#define OAQ_VECTORS 1
#include "core/x86/gemm_i16.h"

void oaq_gemm_i16_c4_12x16_avx512bw(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                    const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm_i16(rows, drains, a, b, bias, acc);
}
