// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>
#include <string.h>

#include "core/avx2/kernels_avx2.h"
#include "core/inline.h"
#include "core/size.h"

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

OAQ_INLINE Channels load_channels(const OaqOutputStage* stage, size_t channel, bool general) {
  const __m256i multipliers = _mm256_loadu_si256((const void*)(stage->multipliers + channel));
  const __m256i shifts = _mm256_loadu_si256((const void*)(stage->shifts + channel));
  const int32_t zero_point = stage->early_zero_point;
  Channels channels = {.even = multipliers,
                       .odd = high_halves(multipliers),
                       .shifts = shifts,
                       .even_rounding = rounding(low_halves(shifts), zero_point),
                       .odd_rounding = rounding(high_halves(shifts), zero_point),
                       .even_sign = _mm256_set1_epi64x(INT64_C(1) << 31)};
  channels.odd_sign = channels.even_sign;
  if (general) {
    const __m256i doublings = _mm256_loadu_si256((const void*)(stage->doublings + channel));
    channels.left_shifts = _mm256_loadu_si256((const void*)(stage->left_shifts + channel));
    channels.even_doubling = low_halves(doublings);
    channels.odd_doubling = high_halves(doublings);
    double_rounding(channels.even_doubling, &channels.even_rounding, &channels.even_sign);
    double_rounding(channels.odd_doubling, &channels.odd_rounding, &channels.odd_sign);
  }
  return channels;
}

// core/output_stage.h has the formulas: the division by 2^32 leaves upper halves.
OAQ_INLINE __m256i scale(const int32_t* acc, const Channels* channels, bool general,
                         bool is_signed) {
  __m256i sums = _mm256_loadu_si256((const void*)acc);
  if (general) sums = _mm256_sllv_epi32(sums, channels->left_shifts);
  const __m256i odd_sums = high_halves(sums);
  __m256i even = _mm256_mul_epi32(sums, channels->even);
  __m256i odd = _mm256_mul_epi32(odd_sums, channels->odd);
  if (general) {
    even = _mm256_sllv_epi64(even, channels->even_doubling);
    odd = _mm256_sllv_epi64(odd, channels->odd_doubling);
  }
  even = _mm256_add_epi64(even, channels->even_rounding);
  odd = _mm256_add_epi64(odd, channels->odd_rounding);
  if (is_signed) {
    // A negative sum's own sign bit is the 2^31 to take off.
    even = _mm256_sub_epi64(even, _mm256_and_si256(sums, channels->even_sign));
    odd = _mm256_sub_epi64(odd, _mm256_and_si256(odd_sums, channels->odd_sign));
  }
  return _mm256_srav_epi32(_mm256_blend_epi32(high_halves(even), odd, 0xAA), channels->shifts);
}

typedef struct Limits {
  __m256i zero_point, zero_point16, lo, hi;
} Limits;

// Sixteen codes, saturated to int16: they are clamped to int8 anyway.
OAQ_INLINE __m256i words(const int32_t* acc, const Channels* low, const Channels* high,
                         const Limits* limits, bool general, bool is_signed, bool late) {
  __m256i first = scale(acc, low, general, is_signed);
  __m256i second = scale(acc + 8, high, general, is_signed);
  if (general) {
    // Without a right shift the reference's int32 may wrap here.
    first = _mm256_add_epi32(first, limits->zero_point);
    second = _mm256_add_epi32(second, limits->zero_point);
  }
  const __m256i packed = _mm256_packs_epi32(first, second);
  return late && !general ? _mm256_adds_epi16(packed, limits->zero_point16) : packed;
}

// Codes of sixteen channels of two rows, a row in each 128 bits.
OAQ_INLINE __m256i two_rows(const int32_t* first, const int32_t* second, const Channels* low,
                            const Channels* high, const Limits* limits, bool general,
                            bool is_signed, bool late) {
  // From {row 0: 0-3, 8-11, row 1: 0-3, 8-11, row 0: 4-7, 12-15, row 1: ...} to rows of sixteen.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i first_words = words(first, low, high, limits, general, is_signed, late);
  const __m256i second_words = words(second, low, high, limits, general, is_signed, late);
  const __m256i codes = _mm256_packs_epi16(first_words, second_words);
  const __m256i clamped = _mm256_min_epi8(_mm256_max_epi8(codes, limits->lo), limits->hi);
  return _mm256_permutevar8x32_epi32(clamped, order);
}

typedef struct Rows {
  const int32_t* acc;
  size_t acc_stride;
  int8_t* out;
  size_t out_stride;
} Rows;

OAQ_INLINE void output_rows(size_t count, Rows rows, const Channels* low, const Channels* high,
                            const Limits* limits, bool general, bool is_signed, bool late) {
  for (; count >= 2; count -= 2) {
    const __m256i two =
        two_rows(rows.acc, rows.acc + rows.acc_stride, low, high, limits, general, is_signed, late);
    _mm_storeu_si128((void*)rows.out, _mm256_castsi256_si128(two));
    _mm_storeu_si128((void*)(rows.out + rows.out_stride), _mm256_extracti128_si256(two, 1));
    rows.acc += 2 * rows.acc_stride;
    rows.out += 2 * rows.out_stride;
  }
  if (count > 0) {
    const __m256i same = two_rows(rows.acc, rows.acc, low, high, limits, general, is_signed, late);
    _mm_storeu_si128((void*)rows.out, _mm256_castsi256_si128(same));
  }
}

OAQ_INLINE void output(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                       size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                       size_t out_stride, bool general, bool is_signed, bool late) {
  enum { kCopied = 8 };
  const Limits limits = {_mm256_set1_epi32(stage->late_zero_point),
                         _mm256_set1_epi16((int16_t)stage->late_zero_point),
                         _mm256_set1_epi8((int8_t)stage->requantize.lo),
                         _mm256_set1_epi8((int8_t)stage->requantize.hi)};
  for (size_t n = 0; n < channels; n += 16) {
    const Channels low = load_channels(stage, first_channel + n, general);
    const Channels high = load_channels(stage, first_channel + n + 8, general);
    const size_t left = oaq_min_size(16, channels - n);
    const bool whole = left == 16;
    // Codes of fewer channels take a way round, so that there is one loop for all.
    int8_t copy[kCopied * 16];
    const size_t most = whole ? rows : kCopied;
    for (size_t m = 0; m < rows; m += most) {
      const size_t count = oaq_min_size(most, rows - m);
      int8_t* codes = out + m * out_stride + n;
      const Rows from = {acc + m * acc_stride + n, acc_stride, whole ? codes : copy,
                         whole ? out_stride : 16};
      output_rows(count, from, &low, &high, &limits, general, is_signed, late);
      for (size_t i = 0; !whole && i < count; ++i) {
        memcpy(codes + i * out_stride, copy + i * 16, left);
      }
    }
  }
}

static void output_integers(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                            size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                            size_t out_stride) {
#define OAQ_OUTPUT(general, is_signed, late)                                                \
  output(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride, (general), \
         (is_signed), (late))
  const bool is_signed = oaq_output_stage_is_signed(stage);
  if (stage->left_shifts != NULL) {
    is_signed ? OAQ_OUTPUT(true, true, true) : OAQ_OUTPUT(true, false, true);
  } else if (stage->late_zero_point != 0) {
    is_signed ? OAQ_OUTPUT(false, true, true) : OAQ_OUTPUT(false, false, true);
  } else {
    is_signed ? OAQ_OUTPUT(false, true, false) : OAQ_OUTPUT(false, false, false);
  }
#undef OAQ_OUTPUT
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
