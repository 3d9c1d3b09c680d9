// SPDX-License-Identifier: Apache-2.0
// The vectors of core/x86's depthwise templates: AVX2, int16 lanes.
#ifndef OAQ_CORE_AVX2_DEPTHWISE_VECTORS_I16_AVX2_H_
#define OAQ_CORE_AVX2_DEPTHWISE_VECTORS_I16_AVX2_H_

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256i Vec;

// A pixel is one vector of 32 codes, its middle quarters swapped: VPUNPCKLBW, which works within
// 128 bits, then gives channels 0 to 15, VPUNPCKHBW the others.
enum { kTile = 32, kPixel = 32, kLanes = 16, kHalves = 2, kGroups = 1, kStepBytes = 2 * kTile };

static inline Vec zero(void) { return _mm256_setzero_si256(); }

static inline Vec load_weights(const char* b) { return _mm256_loadu_si256((const __m256i*)b); }

static inline Vec load_start(const int16_t* start) {
  return _mm256_loadu_si256((const __m256i*)start);
}

static inline Vec interleave(const char* upper, const char* lower, bool high) {
  const __m256i a = _mm256_load_si256((const __m256i*)upper);
  const __m256i b = _mm256_load_si256((const __m256i*)lower);
  return high ? _mm256_unpackhi_epi8(a, b) : _mm256_unpacklo_epi8(a, b);
}

static inline Vec multiply(Vec pair, Vec weights) { return _mm256_maddubs_epi16(pair, weights); }

static inline Vec add(Vec a, Vec b) { return _mm256_add_epi16(a, b); }

// acc = from + sums, for kLanes channels.
static inline void store_sums(Vec sums, const int32_t* from, int32_t* acc) {
  const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums));
  const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(sums, 1));
  const __m256i* more = (const __m256i*)from;
  _mm256_storeu_si256((__m256i*)acc, _mm256_add_epi32(low, _mm256_loadu_si256(more)));
  _mm256_storeu_si256((__m256i*)(acc + 8), _mm256_add_epi32(high, _mm256_loadu_si256(more + 1)));
}

#endif  // OAQ_CORE_AVX2_DEPTHWISE_VECTORS_I16_AVX2_H_
