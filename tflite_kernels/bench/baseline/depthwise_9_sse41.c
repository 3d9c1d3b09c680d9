// SPDX-License-Identifier: Apache-2.0
#include <smmintrin.h>

#include "bench/baseline/baseline.h"

// Products of two codes fit int16, so PMULLW makes them and only its results are widened: faster
// than PMULLD where PMULLD takes two operations.
static inline __m128i load_wide(const int8_t* from) {
  return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i*)from));
}

static inline void add_products(const int8_t* codes, const int8_t* weights, __m128i* sums) {
  const __m128i products = _mm_mullo_epi16(load_wide(codes), load_wide(weights));
  const __m128i upper = _mm_srai_epi32(_mm_unpackhi_epi16(products, products), 16);
  sums[0] = _mm_add_epi32(sums[0], _mm_cvtepi16_epi32(products));
  sums[1] = _mm_add_epi32(sums[1], upper);
}

void baseline_depthwise_9_sse41(size_t columns, size_t channels, const int8_t* const* taps,
                                size_t column_stride, const int8_t* b, const int32_t* bias,
                                int32_t* acc) {
  for (size_t n = 0; n < columns; ++n) {
    const int8_t* weights = b;
    for (size_t c = 0; c < channels; c += kBaselineGroup) {
      __m128i sums[4];
      for (size_t i = 0; i < 4; ++i) sums[i] = _mm_loadu_si128((const __m128i*)(bias + c) + i);
      for (size_t t = 0; t < kBaselineTaps; ++t) {
        const int8_t* codes = taps[t] + n * column_stride + c;
        add_products(codes, weights, sums);
        add_products(codes + 8, weights + 8, sums + 2);
        weights += kBaselineGroup;
      }
      for (size_t i = 0; i < 4; ++i) _mm_storeu_si128((__m128i*)(acc + c) + i, sums[i]);
    }
    acc += channels;
  }
}
