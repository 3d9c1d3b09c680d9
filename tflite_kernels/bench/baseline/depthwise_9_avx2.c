// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "bench/baseline/baseline.h"

// Codes and weights widened to 32 bits at once, as VPMULLD wants them.
static inline __m256i load_wide(const int8_t* from) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)from));
}

void baseline_depthwise_9_avx2(size_t columns, size_t channels, const int8_t* const* taps,
                               size_t column_stride, const int8_t* b, const int32_t* bias,
                               int32_t* acc) {
  for (size_t n = 0; n < columns; ++n) {
    const int8_t* weights = b;
    for (size_t c = 0; c < channels; c += kBaselineGroup) {
      __m256i low = _mm256_loadu_si256((const __m256i*)(bias + c));
      __m256i high = _mm256_loadu_si256((const __m256i*)(bias + c + 8));
      for (size_t t = 0; t < kBaselineTaps; ++t) {
        const int8_t* codes = taps[t] + n * column_stride + c;
        low = _mm256_add_epi32(low, _mm256_mullo_epi32(load_wide(codes), load_wide(weights)));
        high = _mm256_add_epi32(high,
                                _mm256_mullo_epi32(load_wide(codes + 8), load_wide(weights + 8)));
        weights += kBaselineGroup;
      }
      _mm256_storeu_si256((__m256i*)(acc + c), low);
      _mm256_storeu_si256((__m256i*)(acc + c + 8), high);
    }
    acc += channels;
  }
}
