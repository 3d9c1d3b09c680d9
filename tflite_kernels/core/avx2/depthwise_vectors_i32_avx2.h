// SPDX-License-Identifier: Apache-2.0
// The vectors of core/x86's depthwise templates: AVX2, int32 lanes, exact for any codes.
#ifndef OAQ_CORE_AVX2_DEPTHWISE_VECTORS_I32_AVX2_H_
#define OAQ_CORE_AVX2_DEPTHWISE_VECTORS_I32_AVX2_H_

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256i Vec;

// A pixel is two vectors of 16 codes as int16, their middle quarters swapped: VPUNPCKLWD then gives
// the first eight channels of each, VPUNPCKHWD the others.
enum { kTile = 32, kPixel = 64, kLanes = 8, kHalves = 2, kGroups = 2, kStepBytes = 4 * kTile };

static inline Vec zero(void) { return _mm256_setzero_si256(); }

static inline Vec load_weights(const char* b) { return _mm256_loadu_si256((const __m256i*)b); }

// Exact sums need no start values.
static inline Vec load_start(const int16_t* start) {
  (void)start;
  return zero();
}

static inline Vec interleave(const char* upper, const char* lower, bool high) {
  const __m256i a = _mm256_load_si256((const __m256i*)upper);
  const __m256i b = _mm256_load_si256((const __m256i*)lower);
  return high ? _mm256_unpackhi_epi16(a, b) : _mm256_unpacklo_epi16(a, b);
}

static inline Vec multiply(Vec pair, Vec weights) { return _mm256_madd_epi16(pair, weights); }

static inline Vec add(Vec a, Vec b) { return _mm256_add_epi32(a, b); }

// acc = from + sums, for kLanes channels.
static inline void store_sums(Vec sums, const int32_t* from, int32_t* acc) {
  const __m256i more = _mm256_loadu_si256((const __m256i*)from);
  _mm256_storeu_si256((__m256i*)acc, _mm256_add_epi32(sums, more));
}

#endif  // OAQ_CORE_AVX2_DEPTHWISE_VECTORS_I32_AVX2_H_
