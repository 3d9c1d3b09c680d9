// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX512BW_PAIRS_AVX512_H_
#define OAQ_CORE_AVX512BW_PAIRS_AVX512_H_

#include "core/avx512bw/vector_avx512.h"

// What core/x86/gemm_i16.h wants, for tiles of either width.

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

#endif  // OAQ_CORE_AVX512BW_PAIRS_AVX512_H_
