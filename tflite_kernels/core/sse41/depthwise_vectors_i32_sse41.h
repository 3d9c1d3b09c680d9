// SPDX-License-Identifier: Apache-2.0
// The vectors of core/x86's depthwise templates: SSE4.1, int32 lanes, exact for any codes.
#ifndef OAQ_CORE_SSE41_DEPTHWISE_VECTORS_I32_SSE41_H_
#define OAQ_CORE_SSE41_DEPTHWISE_VECTORS_I32_SSE41_H_

#include <smmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m128i Vec;

// A pixel is two vectors of eight codes as int16.
enum { kTile = 16, kPixel = 32, kLanes = 4, kHalves = 2, kGroups = 2, kStepBytes = 4 * kTile };

static inline Vec zero(void) { return _mm_setzero_si128(); }

static inline Vec load_weights(const char* b) { return _mm_loadu_si128((const __m128i*)b); }

// Exact sums need no start values.
static inline Vec load_start(const int16_t* start) {
  (void)start;
  return zero();
}

static inline Vec interleave(const char* upper, const char* lower, bool high) {
  const __m128i a = _mm_load_si128((const __m128i*)upper);
  const __m128i b = _mm_load_si128((const __m128i*)lower);
  return high ? _mm_unpackhi_epi16(a, b) : _mm_unpacklo_epi16(a, b);
}

static inline Vec multiply(Vec pair, Vec weights) { return _mm_madd_epi16(pair, weights); }

static inline Vec add(Vec a, Vec b) { return _mm_add_epi32(a, b); }

// acc = from + sums, for kLanes channels.
static inline void store_sums(Vec sums, const int32_t* from, int32_t* acc) {
  const __m128i more = _mm_loadu_si128((const __m128i*)from);
  _mm_storeu_si128((__m128i*)acc, _mm_add_epi32(sums, more));
}

#endif  // OAQ_CORE_SSE41_DEPTHWISE_VECTORS_I32_SSE41_H_
