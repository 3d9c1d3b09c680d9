// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "bench/baseline/baseline.h"

enum { kChannels = 8 };

// A row's eight codes as int16, twice: the broadcast is a load.
static inline __m256i load_codes(const int8_t* a) {
  return _mm256_cvtepi8_epi16(_mm_broadcastq_epi64(_mm_loadl_epi64((const __m128i*)a)));
}

// VPMADDWD's pairs, added. In assembly: gcc 12 copies accumulators from register to register.
static inline __m256i multiply_add(__m256i sums, __m256i codes, __m256i weights) {
  const __m256i products = _mm256_madd_epi16(codes, weights);
  __asm__("vpaddd %1, %0, %0" : "+x"(sums) : "x"(products));
  return sums;
}

// A row's sums, in scalars: gcc 12 writes arrays of them to the stack and back.
typedef struct Row {
  __m256i sums01, sums23, sums45, sums67;  // by channel, four each
} Row;

static inline Row zero_row(void) {
  const __m256i zero = _mm256_setzero_si256();
  return (Row){zero, zero, zero, zero};
}

// To one sum each.
static inline void store_row(const Row* row, const int32_t* bias, int32_t* acc) {
  const __m256i first = _mm256_hadd_epi32(row->sums01, row->sums23);   // 0 0 2 2 | 1 1 3 3
  const __m256i second = _mm256_hadd_epi32(row->sums45, row->sums67);  // 4 4 6 6 | 5 5 7 7
  const __m256i all = _mm256_hadd_epi32(first, second);                // 0 2 4 6 | 1 3 5 7
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i from = _mm256_loadu_si256((const __m256i*)bias);
  const __m256i sums = _mm256_add_epi32(from, _mm256_permutevar8x32_epi32(all, order));
  _mm256_storeu_si256((__m256i*)acc, sums);
}

static inline __m256i load_weights(const int8_t* b, size_t pair) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)b + pair));
}

void baseline_gemm_3x8_c8_avx2(size_t steps, const int8_t* a, size_t a_stride, const int8_t* b,
                               const int32_t* bias, int32_t* acc) {
  Row row0 = zero_row(), row1 = zero_row(), row2 = zero_row();
  const int8_t* a1 = a + a_stride;
  const int8_t* a2 = a1 + a_stride;
  for (size_t step = 0; step < steps; ++step) {
    const __m256i codes0 = load_codes(a);
    const __m256i codes1 = load_codes(a1);
    const __m256i codes2 = load_codes(a2);
    const __m256i weights01 = load_weights(b, 0);
    row0.sums01 = multiply_add(row0.sums01, codes0, weights01);
    row1.sums01 = multiply_add(row1.sums01, codes1, weights01);
    row2.sums01 = multiply_add(row2.sums01, codes2, weights01);
    const __m256i weights23 = load_weights(b, 1);
    row0.sums23 = multiply_add(row0.sums23, codes0, weights23);
    row1.sums23 = multiply_add(row1.sums23, codes1, weights23);
    row2.sums23 = multiply_add(row2.sums23, codes2, weights23);
    const __m256i weights45 = load_weights(b, 2);
    row0.sums45 = multiply_add(row0.sums45, codes0, weights45);
    row1.sums45 = multiply_add(row1.sums45, codes1, weights45);
    row2.sums45 = multiply_add(row2.sums45, codes2, weights45);
    const __m256i weights67 = load_weights(b, 3);
    row0.sums67 = multiply_add(row0.sums67, codes0, weights67);
    row1.sums67 = multiply_add(row1.sums67, codes1, weights67);
    row2.sums67 = multiply_add(row2.sums67, codes2, weights67);
    a += kBaselineStep;
    a1 += kBaselineStep;
    a2 += kBaselineStep;
    b += kChannels * kBaselineStep;
  }
  store_row(&row0, bias, acc);
  store_row(&row1, bias, acc + kChannels);
  store_row(&row2, bias, acc + 2 * kChannels);
}
