// SPDX-License-Identifier: Apache-2.0
#include <smmintrin.h>

#include "bench/baseline/baseline.h"

enum { kChannels = 4 };

static inline __m128i load_wide(const int8_t* from) {
  return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)from));
}

// PMADDWD's pairs, added. In assembly: gcc 12 copies accumulators from register to register.
static inline __m128i multiply_add(__m128i sums, __m128i codes, __m128i weights) {
  const __m128i products = _mm_madd_epi16(weights, codes);
  __asm__("paddd %1, %0" : "+x"(sums) : "x"(products));
  return sums;
}

// A row's sums, in scalars: gcc 12 writes arrays of them to the stack and back.
typedef struct Row {
  __m128i sums0, sums1, sums2, sums3;  // by channel, four each
} Row;

static inline Row zero_row(void) {
  const __m128i zero = _mm_setzero_si128();
  return (Row){zero, zero, zero, zero};
}

// To one sum each.
static inline void store_row(const Row* row, const int32_t* bias, int32_t* acc) {
  const __m128i first = _mm_hadd_epi32(row->sums0, row->sums1);
  const __m128i second = _mm_hadd_epi32(row->sums2, row->sums3);
  const __m128i from = _mm_loadu_si128((const __m128i*)bias);
  _mm_storeu_si128((__m128i*)acc, _mm_add_epi32(from, _mm_hadd_epi32(first, second)));
}

void baseline_gemm_3x4_c8_sse41(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                                const int32_t* bias, int32_t* acc) {
  Row row0 = zero_row(), row1 = zero_row(), row2 = zero_row();
  const int8_t* a1 = a + a_stride;
  const int8_t* a2 = a1 + a_stride;
  for (size_t step = 0; step < steps; ++step) {
    const __m128i codes0 = load_wide(a);
    const __m128i codes1 = load_wide(a1);
    const __m128i codes2 = load_wide(a2);
    const __m128i weights0 = load_wide(b);
    row0.sums0 = multiply_add(row0.sums0, codes0, weights0);
    row1.sums0 = multiply_add(row1.sums0, codes1, weights0);
    row2.sums0 = multiply_add(row2.sums0, codes2, weights0);
    const __m128i weights1 = load_wide(b + kBaselineStep);
    row0.sums1 = multiply_add(row0.sums1, codes0, weights1);
    row1.sums1 = multiply_add(row1.sums1, codes1, weights1);
    row2.sums1 = multiply_add(row2.sums1, codes2, weights1);
    const __m128i weights2 = load_wide(b + 2 * kBaselineStep);
    row0.sums2 = multiply_add(row0.sums2, codes0, weights2);
    row1.sums2 = multiply_add(row1.sums2, codes1, weights2);
    row2.sums2 = multiply_add(row2.sums2, codes2, weights2);
    const __m128i weights3 = load_wide(b + 3 * kBaselineStep);
    row0.sums3 = multiply_add(row0.sums3, codes0, weights3);
    row1.sums3 = multiply_add(row1.sums3, codes1, weights3);
    row2.sums3 = multiply_add(row2.sums3, codes2, weights3);
    a += kBaselineStep;
    a1 += kBaselineStep;
    a2 += kBaselineStep;
    b += kChannels * kBaselineStep;
  }
  store_row(&row0, bias, acc);
  store_row(&row1, bias, acc + kChannels);
  store_row(&row2, bias, acc + 2 * kChannels);
}
