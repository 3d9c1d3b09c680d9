// SPDX-License-Identifier: Apache-2.0
#include <smmintrin.h>
#include <string.h>

#include "core/size.h"
#include "core/sse41/kernels_sse41.h"

// Four channels of the stage; products are made of the even and the odd ones apart.
typedef struct Channels {
  __m128i even, odd;                    // multipliers
  __m128i even_power, odd_power;        // 2^(31 - e), for want of shifts by a register's elements
  __m128i even_rounding, odd_rounding;  // 2^30 + 2^(30 + e) + z * 2^(31 + e)
} Channels;

static inline Channels load_channels(const OaqOutputStage* stage, size_t channel) {
  const int64_t half = (INT64_C(1) << 31) + stage->early_zero_point * (INT64_C(1) << 32);
  int64_t roundings[4];
  int32_t powers[4];
  for (size_t i = 0; i < 4; ++i) {
    const int32_t shift = stage->shifts[channel + i];
    roundings[i] = (INT64_C(1) << 30) + half * (INT64_C(1) << shift);
    powers[i] = 1 << (30 - shift);
  }
  const __m128i multipliers = _mm_loadu_si128((const void*)(stage->multipliers + channel));
  const __m128i power = _mm_loadu_si128((const void*)powers);
  return (Channels){multipliers,
                    _mm_srli_epi64(multipliers, 32),
                    power,
                    _mm_srli_epi64(power, 32),
                    _mm_set_epi64x(roundings[2], roundings[0]),
                    _mm_set_epi64x(roundings[3], roundings[1])};
}

// core/output_stage.h has the formula: the division by 2^32 leaves upper halves, and one by
// 2^(e - 1) is a product with 2^(31 - e) and a shift by 30.
static inline __m128i scale(__m128i sums, const Channels* channels, bool is_signed) {
  const __m128i odd_sums = _mm_srli_epi64(sums, 32);
  __m128i even = _mm_mul_epi32(sums, channels->even);
  __m128i odd = _mm_mul_epi32(odd_sums, channels->odd);
  even = _mm_add_epi64(even, channels->even_rounding);
  odd = _mm_add_epi64(odd, channels->odd_rounding);
  if (is_signed) {
    // A negative sum's own sign bit is the 2^31 to take off.
    const __m128i sign = _mm_set1_epi64x(INT64_C(1) << 31);
    even = _mm_sub_epi64(even, _mm_and_si128(sums, sign));
    odd = _mm_sub_epi64(odd, _mm_and_si128(odd_sums, sign));
  }
  even = _mm_mul_epi32(_mm_srli_epi64(even, 32), channels->even_power);
  odd = _mm_mul_epi32(_mm_srli_epi64(odd, 32), channels->odd_power);
  return _mm_blend_epi16(_mm_srli_epi64(even, 30), _mm_slli_epi64(odd, 2), 0xCC);
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

static inline __attribute__((always_inline)) void output(const OaqOutputStage* stage,
                                                         size_t first_channel, size_t channels,
                                                         size_t rows, const int32_t* acc,
                                                         size_t acc_stride, int8_t* out,
                                                         size_t out_stride, bool is_signed) {
  const __m128i zero_point = _mm_set1_epi16((int16_t)stage->late_zero_point);
  const __m128i lo = _mm_set1_epi8((int8_t)stage->requantize.lo);
  const __m128i hi = _mm_set1_epi8((int8_t)stage->requantize.hi);
  for (size_t n = 0; n < channels; n += 8) {
    const Channels low = load_channels(stage, first_channel + n);
    const Channels high = load_channels(stage, first_channel + n + 4);
    const size_t count = oaq_min_size(8, channels - n);
    for (size_t m = 0; m < rows; ++m) {
      const int32_t* sums = acc + m * acc_stride + n;
      const __m128i first = scale(_mm_loadu_si128((const void*)sums), &low, is_signed);
      const __m128i second = scale(_mm_loadu_si128((const void*)(sums + 4)), &high, is_signed);
      // Saturation anywhere here ends at the limits, which int8 codes clamp to anyway.
      const __m128i words = _mm_adds_epi16(_mm_packs_epi32(first, second), zero_point);
      __m128i codes = _mm_packs_epi16(words, words);
      codes = _mm_min_epi8(_mm_max_epi8(codes, lo), hi);
      store_codes(out + m * out_stride + n, codes, count);
    }
  }
}

void oaq_output_sse41(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                      size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                      size_t out_stride) {
  if (stage->multipliers == NULL || stage->left_shifts != NULL) {
    oaq_output_scalar(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
  } else if (oaq_output_stage_is_signed(stage)) {
    output(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride, true);
  } else {
    output(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride, false);
  }
}
