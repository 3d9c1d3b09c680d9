// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>
#include <string.h>

#include "core/avx2/kernels_avx2.h"
#include "core/size.h"

// Eight channels of the stage; products are made of the even and the odd ones apart.
typedef struct Channels {
  __m256i even, odd, shifts, even_rounding, odd_rounding;
} Channels;

// 2^30 + 2^(30 + e) for shifts of e - 1 in the lower halves of 64 bits.
static inline __m256i rounding(__m256i shifts) {
  const __m256i half = _mm256_sllv_epi64(_mm256_set1_epi64x(INT64_C(1) << 31), shifts);
  return _mm256_add_epi64(half, _mm256_set1_epi64x(INT64_C(1) << 30));
}

static inline Channels load_channels(const OaqOutputStage* stage, size_t channel) {
  const __m256i multipliers = _mm256_loadu_si256((const void*)(stage->multipliers + channel));
  const __m256i shifts = _mm256_loadu_si256((const void*)(stage->shifts + channel));
  const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
  return (Channels){multipliers, _mm256_srli_epi64(multipliers, 32), shifts,
                    rounding(_mm256_and_si256(shifts, low)),
                    rounding(_mm256_srli_epi64(shifts, 32))};
}

// core/output_stage.h has the formula: the division by 2^32 leaves upper halves.
static inline __m256i scale(__m256i sums, const Channels* channels) {
  const __m256i sign = _mm256_set1_epi64x(INT64_C(1) << 31);
  const __m256i odd_sums = _mm256_srli_epi64(sums, 32);
  __m256i even = _mm256_mul_epi32(sums, channels->even);
  __m256i odd = _mm256_mul_epi32(odd_sums, channels->odd);
  even = _mm256_add_epi64(even, channels->even_rounding);
  odd = _mm256_add_epi64(odd, channels->odd_rounding);
  // A negative sum's own sign bit is the 2^31 to take off.
  even = _mm256_sub_epi64(even, _mm256_and_si256(sums, sign));
  odd = _mm256_sub_epi64(odd, _mm256_and_si256(odd_sums, sign));
  const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  return _mm256_srav_epi32(high, channels->shifts);
}

static inline void store_codes(int8_t* out, __m128i codes, size_t count) {
  if (count == 8) {
    _mm_storel_epi64((void*)out, codes);
  } else {
    int8_t copy[16];
    _mm_storeu_si128((void*)copy, codes);
    memcpy(out, copy, count);
  }
}

void oaq_output_avx2(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                     size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                     size_t out_stride) {
  if (stage->multipliers == NULL) {
    oaq_output_scalar(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
    return;
  }
  const __m256i zero_point = _mm256_set1_epi16((int16_t)stage->requantize.zero_point);
  const __m128i lo = _mm_set1_epi8((int8_t)stage->requantize.lo);
  const __m128i hi = _mm_set1_epi8((int8_t)stage->requantize.hi);
  // From {row 0: 0-3, row 1: 0-3, ..., row 0: 4-7, row 1: 4-7} to rows of eight.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
  for (size_t n = 0; n < channels; n += 8) {
    const Channels loaded = load_channels(stage, first_channel + n);
    const size_t count = oaq_min_size(8, channels - n);
    for (size_t m = 0; m < rows; m += 2) {
      const size_t next = m + 1 < rows ? m + 1 : m;
      const __m256i first =
          scale(_mm256_loadu_si256((const void*)(acc + m * acc_stride + n)), &loaded);
      const __m256i second =
          scale(_mm256_loadu_si256((const void*)(acc + next * acc_stride + n)), &loaded);
      // Saturation anywhere here ends at the limits, which int8 codes clamp to anyway.
      const __m256i words = _mm256_adds_epi16(_mm256_packs_epi32(first, second), zero_point);
      const __m256i bytes = _mm256_packs_epi16(words, words);
      __m128i codes = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order));
      codes = _mm_min_epi8(_mm_max_epi8(codes, lo), hi);
      store_codes(out + m * out_stride + n, codes, count);
      if (next != m) {
        store_codes(out + next * out_stride + n, _mm_unpackhi_epi64(codes, codes), count);
      }
    }
  }
}
