// SPDX-License-Identifier: Apache-2.0
// The vectors of core/x86's depthwise templates: AVX512BW, int32 lanes, exact for any codes.
#ifndef OAQ_CORE_AVX512BW_DEPTHWISE_VECTORS_I32_AVX512BW_H_
#define OAQ_CORE_AVX512BW_DEPTHWISE_VECTORS_I32_AVX512BW_H_

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512i Vec;

// A pixel is one vector of 32 codes as int16, in the order of its quarters' 64-bit halves that lets
// VPUNPCKLWD, which works within 128 bits, give channels 0 to 15, VPUNPCKHWD the others.
enum { kTile = 32, kPixel = 64, kLanes = 16, kHalves = 2, kGroups = 1, kStepBytes = 4 * kTile };

static inline Vec zero(void) { return _mm512_setzero_si512(); }

static inline Vec load_weights(const char* b) { return _mm512_loadu_si512(b); }

// Exact sums need no start values.
static inline Vec load_start(const int16_t* start) {
  (void)start;
  return zero();
}

static inline Vec interleave(const char* upper, const char* lower, bool high) {
  const __m512i a = _mm512_load_si512(upper);
  const __m512i b = _mm512_load_si512(lower);
  return high ? _mm512_unpackhi_epi16(a, b) : _mm512_unpacklo_epi16(a, b);
}

static inline Vec multiply(Vec pair, Vec weights) { return _mm512_madd_epi16(pair, weights); }

static inline Vec add(Vec a, Vec b) { return _mm512_add_epi32(a, b); }

// acc = from + sums, for kLanes channels.
static inline void store_sums(Vec sums, const int32_t* from, int32_t* acc) {
  _mm512_storeu_si512(acc, _mm512_add_epi32(sums, _mm512_loadu_si512(from)));
}

#endif  // OAQ_CORE_AVX512BW_DEPTHWISE_VECTORS_I32_AVX512BW_H_
