// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <immintrin.h>
#include <string.h>

#include "core/avx2/kernels_avx2.h"
#include "core/inline.h"

// core/output_stage.h's formula in doubles: what a code is above the least code is
//   floor(x * m / 2^(31 + e) + offset),  offset = 2^-(1 + e) + 1/2 + z - lo - (x < 0) * 2^-e.
// Where that lies in [0, 256) it has 8 bits before the point and 31 + e behind it. Of shifts up to
// 14 a fused multiplication and addition is then exact, and truncation is floor; of others that are
// taken here, what is rounded stays on its side of each code (OaqOutputStage.in_double). What is
// below gives 0 or less however it is rounded, what is above 256 or more; both are clamped.
// |x * m / 2^(31 + e)| is below 2^30, which an int32 holds.

// Four channels.
typedef struct Channels {
  __m256d scale, offset, offset_below;  // the last of negative sums
} Channels;

typedef struct Limits {
  __m256i lo, most;  // the least code, and how much the greatest is above it
} Limits;

OAQ_INLINE Channels load_channels(const OaqOutputStage* stage, size_t channel) {
  enum { kBias = 1023, kMantissa = 52 };
  const __m128i multipliers = _mm_loadu_si128((const void*)(stage->multipliers + channel));
  const __m128i shifts = _mm_loadu_si128((const void*)(stage->shifts + channel));  // e - 1
  // 2^-(1 + e), from its exponent.
  const __m256i exponents =
      _mm256_sub_epi64(_mm256_set1_epi64x(kBias - 2), _mm256_cvtepi32_epi64(shifts));
  const __m256d half = _mm256_castsi256_pd(_mm256_slli_epi64(exponents, kMantissa));
  const double least = stage->requantize.zero_point - stage->requantize.lo;
  Channels channels;
  channels.scale = _mm256_mul_pd(_mm256_cvtepi32_pd(multipliers),
                                 _mm256_mul_pd(half, _mm256_set1_pd(1.0 / (1 << 30))));
  channels.offset = _mm256_add_pd(half, _mm256_set1_pd(least + 0.5));
  channels.offset_below = _mm256_sub_pd(channels.offset, _mm256_add_pd(half, half));
  return channels;
}

OAQ_INLINE __m128i scale(const int32_t* acc, const Channels* channels, bool is_signed) {
  const __m256d sums = _mm256_cvtepi32_pd(_mm_loadu_si128((const void*)acc));
  const __m256d offset = is_signed
                             ? _mm256_blendv_pd(channels->offset, channels->offset_below, sums)
                             : channels->offset;
  return _mm256_cvttpd_epi32(_mm256_fmadd_pd(sums, channels->scale, offset));
}

// Codes of a row, less the least.
OAQ_INLINE __m128i row(const int32_t* acc, const Channels channels[4], bool is_signed) {
  const __m128i low =
      _mm_packs_epi32(scale(acc, &channels[0], is_signed), scale(acc + 4, &channels[1], is_signed));
  const __m128i high = _mm_packs_epi32(scale(acc + 8, &channels[2], is_signed),
                                       scale(acc + 12, &channels[3], is_signed));
  return _mm_packus_epi16(low, high);
}

OAQ_INLINE void store(__m128i codes, size_t channels, int8_t* out) {
  int8_t all[16];
  if (channels == 16) {
    _mm_storeu_si128((void*)out, codes);
  } else if (channels == 8) {
    _mm_storel_epi64((void*)out, codes);
  } else {
    _mm_storeu_si128((void*)all, codes);
    memcpy(out, all, channels);
  }
}

// Codes of two rows, `acc_stride` apart.
OAQ_INLINE __m256i two_rows(const int32_t* acc, size_t acc_stride, const Channels channels[4],
                            const Limits* limits, bool is_signed, bool clamps) {
  const __m128i first = row(acc, channels, is_signed);
  const __m128i second = row(acc + acc_stride, channels, is_signed);
  __m256i codes = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
  if (clamps) codes = _mm256_min_epu8(codes, limits->most);
  return _mm256_add_epi8(codes, limits->lo);
}

OAQ_INLINE void output(const OaqOutputStage* stage, size_t channel, size_t channels, size_t rows,
                       const int32_t* acc, size_t acc_stride, int8_t* out, size_t out_stride,
                       bool is_signed, bool clamps) {
  const int32_t lo = stage->requantize.lo, hi = stage->requantize.hi;
  const Limits limits = {_mm256_set1_epi8((char)lo), _mm256_set1_epi8((char)(hi - lo))};
  const Channels four[] = {load_channels(stage, channel), load_channels(stage, channel + 4),
                           load_channels(stage, channel + 8), load_channels(stage, channel + 12)};
  for (; rows >= 2; rows -= 2) {
    const __m256i codes = two_rows(acc, acc_stride, four, &limits, is_signed, clamps);
    store(_mm256_castsi256_si128(codes), channels, out);
    store(_mm256_extracti128_si256(codes, 1), channels, out + out_stride);
    acc += 2 * acc_stride;
    out += 2 * out_stride;
  }
  if (rows > 0) {
    const __m256i same = two_rows(acc, 0, four, &limits, is_signed, clamps);
    store(_mm256_castsi256_si128(same), channels, out);
  }
}

bool oaq_output_fits_double_avx2(const OaqOutputStage* stage, size_t channel) {
  const __m128i ones = _mm_set1_epi8(1);
  const __m128i fits = _mm_loadu_si128((const void*)(stage->in_double + channel));
  return _mm_testc_si128(fits, ones) != 0;
}

void oaq_output_double_avx2(const OaqOutputStage* stage, size_t channel, size_t channels,
                            size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                            size_t out_stride) {
  assert(channels <= 16);
  const bool clamps = stage->requantize.hi - stage->requantize.lo < 255;
#define OAQ_OUTPUT(channels, is_signed, clamps) \
  output(stage, channel, (channels), rows, acc, acc_stride, out, out_stride, (is_signed), (clamps))
  if (channels < 16) {
    OAQ_OUTPUT(channels, true, true);
  } else if (oaq_output_stage_is_signed(stage)) {
    clamps ? OAQ_OUTPUT(16, true, true) : OAQ_OUTPUT(16, true, false);
  } else {
    clamps ? OAQ_OUTPUT(16, false, true) : OAQ_OUTPUT(16, false, false);
  }
#undef OAQ_OUTPUT
}
