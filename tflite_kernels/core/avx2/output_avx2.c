// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>
#include <string.h>

#include "core/avx2/kernels_avx2.h"
#include "core/inline.h"
#include "core/size.h"

// Tiles that core/avx2/output_double_avx2.c does not take, few that there are: any shifts, in
// 64-bit integers. core/output_stage.h has the formulas: the division by 2^32 leaves upper halves.

// Eight channels of the stage; products are made of the even and the odd ones apart.
typedef struct Channels {
  __m256i even, odd, shifts, even_rounding, odd_rounding;
  // Of channels without a right shift.
  __m256i left_shifts, even_doubling, odd_doubling, even_sign, odd_sign;
} Channels;

OAQ_INLINE __m256i low_halves(__m256i values) {
  return _mm256_and_si256(values, _mm256_set1_epi64x(UINT32_MAX));
}

OAQ_INLINE __m256i high_halves(__m256i values) { return _mm256_srli_epi64(values, 32); }

// 2^30 + 2^(30 + e) + z * 2^(31 + e) for shifts of e - 1 in 64 bits.
OAQ_INLINE __m256i rounding(__m256i shifts, int32_t zero_point) {
  const int64_t half = (INT64_C(1) << 31) + zero_point * (INT64_C(1) << 32);
  const __m256i shifted = _mm256_sllv_epi64(_mm256_set1_epi64x(half), shifts);
  return _mm256_add_epi64(shifted, _mm256_set1_epi64x(INT64_C(1) << 30));
}

// 2^31 where the product is doubled, with no sign to take off.
OAQ_INLINE void double_rounding(__m256i doubling, __m256i* sums, __m256i* sign) {
  const __m256i one = _mm256_set1_epi64x(1);
  const __m256i doubled = _mm256_cmpeq_epi64(doubling, one);
  const __m256i half = _mm256_set1_epi64x(INT64_C(1) << 31);
  *sums = _mm256_blendv_epi8(*sums, half, doubled);
  *sign = _mm256_andnot_si256(doubled, half);
}

// Zeros for NULL.
OAQ_INLINE __m256i load_eight(const int32_t* values, size_t channel) {
  return values != NULL ? _mm256_loadu_si256((const void*)(values + channel))
                        : _mm256_setzero_si256();
}

OAQ_INLINE Channels load_channels(const OaqOutputStage* stage, size_t channel) {
  const __m256i multipliers = load_eight(stage->multipliers, channel);
  const __m256i shifts = load_eight(stage->shifts, channel);
  const __m256i doublings = load_eight(stage->doublings, channel);
  const int32_t zero_point = stage->early_zero_point;
  Channels channels = {.even = multipliers,
                       .odd = high_halves(multipliers),
                       .shifts = shifts,
                       .even_rounding = rounding(low_halves(shifts), zero_point),
                       .odd_rounding = rounding(high_halves(shifts), zero_point),
                       .left_shifts = load_eight(stage->left_shifts, channel),
                       .even_doubling = low_halves(doublings),
                       .odd_doubling = high_halves(doublings)};
  double_rounding(channels.even_doubling, &channels.even_rounding, &channels.even_sign);
  double_rounding(channels.odd_doubling, &channels.odd_rounding, &channels.odd_sign);
  return channels;
}

OAQ_INLINE __m256i scale(const int32_t* acc, const Channels* channels, __m256i zero_point) {
  const __m256i given = _mm256_loadu_si256((const void*)acc);
  const __m256i sums = _mm256_sllv_epi32(given, channels->left_shifts);
  const __m256i odd_sums = high_halves(sums);
  __m256i even = _mm256_mul_epi32(sums, channels->even);
  __m256i odd = _mm256_mul_epi32(odd_sums, channels->odd);
  even = _mm256_sllv_epi64(even, channels->even_doubling);
  odd = _mm256_sllv_epi64(odd, channels->odd_doubling);
  even = _mm256_add_epi64(even, channels->even_rounding);
  odd = _mm256_add_epi64(odd, channels->odd_rounding);
  // A negative sum's own sign bit is the 2^31 to take off.
  even = _mm256_sub_epi64(even, _mm256_and_si256(sums, channels->even_sign));
  odd = _mm256_sub_epi64(odd, _mm256_and_si256(odd_sums, channels->odd_sign));
  const __m256i high = _mm256_blend_epi32(high_halves(even), odd, 0xAA);
  // Without a right shift the reference's int32 may wrap here.
  return _mm256_add_epi32(_mm256_srav_epi32(high, channels->shifts), zero_point);
}

// Codes of up to sixteen channels.
static void output_integers(const OaqOutputStage* stage, size_t channel, size_t channels,
                            size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                            size_t out_stride) {
  const Channels low = load_channels(stage, channel);
  const Channels high = load_channels(stage, channel + 8);
  const __m256i zero_point = _mm256_set1_epi32(stage->late_zero_point);
  const __m128i lo = _mm_set1_epi8((int8_t)stage->requantize.lo);
  const __m128i hi = _mm_set1_epi8((int8_t)stage->requantize.hi);
  for (size_t m = 0; m < rows; ++m, acc += acc_stride, out += out_stride) {
    // Saturated, for they are clamped to int8 anyway; quarters are 0, 2, 1, 3.
    const __m256i words =
        _mm256_packs_epi32(scale(acc, &low, zero_point), scale(acc + 8, &high, zero_point));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    const __m128i codes =
        _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    const __m128i clamped = _mm_min_epi8(_mm_max_epi8(codes, lo), hi);
    int8_t all[16];
    _mm_storeu_si128((void*)(channels == 16 ? out : all), clamped);
    if (channels < 16) memcpy(out, all, channels);
  }
}

void oaq_output_avx2(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                     size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                     size_t out_stride) {
  if (stage->multipliers == NULL) {
    oaq_output_scalar(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
    return;
  }
  for (size_t n = 0; n < channels; n += 16) {
    const size_t count = oaq_min_size(16, channels - n);
    const bool fits = oaq_output_fits_double_avx2(stage, first_channel + n);
    (fits ? oaq_output_double_avx2 : output_integers)(stage, first_channel + n, count, rows,
                                                      acc + n, acc_stride, out + n, out_stride);
  }
}
