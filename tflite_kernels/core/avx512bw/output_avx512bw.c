// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/avx512bw/kernels_avx512bw.h"
#include "core/size.h"

// Sixteen channels of the stage; products are made of the even and the odd ones apart.
typedef struct Channels {
  __m512i even, odd, shifts, even_rounding, odd_rounding;
  // Of channels without a right shift.
  __m512i left_shifts, even_doubling, odd_doubling, even_sign, odd_sign;
} Channels;

// 2^30 + 2^(30 + e) + z * 2^(31 + e) for shifts of e - 1 in 64 bits.
static inline __m512i rounding(__m512i shifts, int32_t zero_point) {
  const int64_t half = (INT64_C(1) << 31) + zero_point * (INT64_C(1) << 32);
  const __m512i shifted = _mm512_sllv_epi64(_mm512_set1_epi64(half), shifts);
  return _mm512_add_epi64(shifted, _mm512_set1_epi64(INT64_C(1) << 30));
}

// 2^31 where the product is doubled, with no sign to take off.
static inline void double_rounding(__m512i doubling, __m512i* sums, __m512i* sign) {
  const __mmask8 doubled = _mm512_test_epi64_mask(doubling, doubling);
  const __m512i half = _mm512_set1_epi64(INT64_C(1) << 31);
  *sums = _mm512_mask_mov_epi64(*sums, doubled, half);
  *sign = _mm512_maskz_mov_epi64((__mmask8)~doubled, half);
}

static inline Channels load_channels(const OaqOutputStage* stage, size_t channel, bool general) {
  const __m512i multipliers = _mm512_loadu_si512(stage->multipliers + channel);
  const __m512i shifts = _mm512_loadu_si512(stage->shifts + channel);
  const __m512i low = _mm512_set1_epi64(UINT32_MAX);
  const int32_t zero_point = stage->early_zero_point;
  Channels channels = {.even = multipliers,
                       .odd = _mm512_srli_epi64(multipliers, 32),
                       .shifts = shifts,
                       .even_rounding = rounding(_mm512_and_si512(shifts, low), zero_point),
                       .odd_rounding = rounding(_mm512_srli_epi64(shifts, 32), zero_point),
                       .even_sign = _mm512_set1_epi64(INT64_C(1) << 31)};
  channels.odd_sign = channels.even_sign;
  if (general) {
    const __m512i doublings = _mm512_loadu_si512(stage->doublings + channel);
    channels.left_shifts = _mm512_loadu_si512(stage->left_shifts + channel);
    channels.even_doubling = _mm512_and_si512(doublings, low);
    channels.odd_doubling = _mm512_srli_epi64(doublings, 32);
    double_rounding(channels.even_doubling, &channels.even_rounding, &channels.even_sign);
    double_rounding(channels.odd_doubling, &channels.odd_rounding, &channels.odd_sign);
  }
  return channels;
}

// core/output_stage.h has the formulas: the division by 2^32 leaves upper halves.
static inline __m512i scale(__m512i sums, const Channels* channels, bool general, bool is_signed) {
  if (general) sums = _mm512_sllv_epi32(sums, channels->left_shifts);
  const __m512i odd_sums = _mm512_srli_epi64(sums, 32);
  __m512i even = _mm512_mul_epi32(sums, channels->even);
  __m512i odd = _mm512_mul_epi32(odd_sums, channels->odd);
  if (general) {
    even = _mm512_sllv_epi64(even, channels->even_doubling);
    odd = _mm512_sllv_epi64(odd, channels->odd_doubling);
  }
  even = _mm512_add_epi64(even, channels->even_rounding);
  odd = _mm512_add_epi64(odd, channels->odd_rounding);
  if (is_signed) {
    // A negative sum's own sign bit is the 2^31 to take off.
    even = _mm512_sub_epi64(even, _mm512_and_si512(sums, channels->even_sign));
    odd = _mm512_sub_epi64(odd, _mm512_and_si512(odd_sums, channels->odd_sign));
  }
  const __m512i high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
  return _mm512_srav_epi32(high, channels->shifts);
}

static inline __attribute__((always_inline)) void output(const OaqOutputStage* stage,
                                                         size_t first_channel, size_t channels,
                                                         size_t rows, const int32_t* acc,
                                                         size_t acc_stride, int8_t* out,
                                                         size_t out_stride, bool general,
                                                         bool is_signed) {
  const __m512i zero_point = _mm512_set1_epi32(stage->late_zero_point);
  const __m512i lo = _mm512_set1_epi32(stage->requantize.lo);
  const __m512i hi = _mm512_set1_epi32(stage->requantize.hi);
  for (size_t n = 0; n < channels; n += 16) {
    const Channels loaded = load_channels(stage, first_channel + n, general);
    const size_t count = oaq_min_size(16, channels - n);
    const __mmask16 mask = (__mmask16)((1u << count) - 1);
    for (size_t m = 0; m < rows; ++m) {
      const __m512i sums = _mm512_loadu_si512(acc + m * acc_stride + n);
      __m512i codes = _mm512_add_epi32(scale(sums, &loaded, general, is_signed), zero_point);
      codes = _mm512_min_epi32(_mm512_max_epi32(codes, lo), hi);
      const __m128i bytes = _mm512_cvtepi32_epi8(codes);
      // A masked store to memory is many times slower than a plain one.
      if (count == 16) {
        _mm_storeu_si128((void*)(out + m * out_stride + n), bytes);
      } else {
        _mm_mask_storeu_epi8(out + m * out_stride + n, mask, bytes);
      }
    }
  }
}

void oaq_output_avx512bw(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                         size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                         size_t out_stride) {
  if (stage->multipliers == NULL) {
    oaq_output_scalar(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
    return;
  }
#define OAQ_OUTPUT(general, is_signed)                                                      \
  output(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride, (general), \
         (is_signed))
  const bool is_signed = oaq_output_stage_is_signed(stage);
  if (stage->left_shifts == NULL) {
    is_signed ? OAQ_OUTPUT(false, true) : OAQ_OUTPUT(false, false);
  } else {
    is_signed ? OAQ_OUTPUT(true, true) : OAQ_OUTPUT(true, false);
  }
#undef OAQ_OUTPUT
}
