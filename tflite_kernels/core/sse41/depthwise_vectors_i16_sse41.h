// SPDX-License-Identifier: Apache-2.0
// The vectors of core/x86's depthwise templates: SSE4.1, int16 lanes.
#ifndef OAQ_CORE_SSE41_DEPTHWISE_VECTORS_I16_SSE41_H_
#define OAQ_CORE_SSE41_DEPTHWISE_VECTORS_I16_SSE41_H_

#include <smmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m128i Vec;

// A pixel is one vector of 16 codes: PUNPCKLBW gives channels 0 to 7, PUNPCKHBW the others.
enum { kTile = 16, kPixel = 16, kLanes = 8, kHalves = 2, kGroups = 1, kStepBytes = 2 * kTile };

static inline Vec zero(void) { return _mm_setzero_si128(); }

static inline Vec load_weights(const char* b) { return _mm_loadu_si128((const __m128i*)b); }

static inline Vec load_start(const int16_t* start) {
  return _mm_loadu_si128((const __m128i*)start);
}

static inline Vec interleave(const char* upper, const char* lower, bool high) {
  const __m128i a = _mm_load_si128((const __m128i*)upper);
  const __m128i b = _mm_load_si128((const __m128i*)lower);
  return high ? _mm_unpackhi_epi8(a, b) : _mm_unpacklo_epi8(a, b);
}

static inline Vec multiply(Vec pair, Vec weights) { return _mm_maddubs_epi16(pair, weights); }

static inline Vec add(Vec a, Vec b) { return _mm_add_epi16(a, b); }

// acc = from + sums, for kLanes channels.
static inline void store_sums(Vec sums, const int32_t* from, int32_t* acc) {
  const __m128i low = _mm_cvtepi16_epi32(sums);
  const __m128i high = _mm_cvtepi16_epi32(_mm_unpackhi_epi64(sums, sums));
  const __m128i* more = (const __m128i*)from;
  _mm_storeu_si128((__m128i*)acc, _mm_add_epi32(low, _mm_loadu_si128(more)));
  _mm_storeu_si128((__m128i*)(acc + 4), _mm_add_epi32(high, _mm_loadu_si128(more + 1)));
}

#endif  // OAQ_CORE_SSE41_DEPTHWISE_VECTORS_I16_SSE41_H_
