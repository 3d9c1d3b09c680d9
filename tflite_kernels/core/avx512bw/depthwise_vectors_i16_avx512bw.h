// SPDX-License-Identifier: Apache-2.0
// The vectors of core/x86's depthwise templates: AVX512BW, int16 lanes.
#ifndef OAQ_CORE_AVX512BW_DEPTHWISE_VECTORS_I16_AVX512BW_H_
#define OAQ_CORE_AVX512BW_DEPTHWISE_VECTORS_I16_AVX512BW_H_

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512i Vec;

// A pixel is one vector of 32 codes, each twice: to interleave two is to load every second byte of
// the one over the other, and costs no shuffle.
enum { kTile = 32, kPixel = 64, kLanes = 32, kHalves = 1, kGroups = 1, kStepBytes = 2 * kTile };

static inline Vec zero(void) { return _mm512_setzero_si512(); }

static inline Vec load_weights(const char* b) { return _mm512_loadu_si512(b); }

static inline Vec load_start(const int16_t* start) { return _mm512_loadu_si512(start); }

static inline Vec interleave(const char* upper, const char* lower, bool high) {
  (void)high;
  const __mmask64 odd = 0xAAAAAAAAAAAAAAAA;
  return _mm512_mask_loadu_epi8(_mm512_load_si512(upper), odd, lower);
}

static inline Vec multiply(Vec pair, Vec weights) { return _mm512_maddubs_epi16(pair, weights); }

static inline Vec add(Vec a, Vec b) { return _mm512_add_epi16(a, b); }

// acc = from + sums, for kLanes channels.
static inline void store_sums(Vec sums, const int32_t* from, int32_t* acc) {
  const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(sums));
  const __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(sums, 1));
  _mm512_storeu_si512(acc, _mm512_add_epi32(low, _mm512_loadu_si512(from)));
  _mm512_storeu_si512(acc + 16, _mm512_add_epi32(high, _mm512_loadu_si512(from + 16)));
}

#endif  // OAQ_CORE_AVX512BW_DEPTHWISE_VECTORS_I16_AVX512BW_H_
