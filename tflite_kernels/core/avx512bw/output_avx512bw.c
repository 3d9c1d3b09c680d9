// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/avx512bw/kernels_avx512bw.h"
#include "core/size.h"

// Sixteen channels of the stage; products are made of the even and the odd ones apart.
typedef struct Channels {
  __m512i even, odd, shifts, even_rounding, odd_rounding;
} Channels;

// 2^30 + 2^(30 + e) for shifts of e - 1 in the lower halves of 64 bits.
static inline __m512i rounding(__m512i shifts) {
  const __m512i half = _mm512_sllv_epi64(_mm512_set1_epi64(INT64_C(1) << 31), shifts);
  return _mm512_add_epi64(half, _mm512_set1_epi64(INT64_C(1) << 30));
}

static inline Channels load_channels(const OaqOutputStage* stage, size_t channel) {
  const __m512i multipliers = _mm512_loadu_si512(stage->multipliers + channel);
  const __m512i shifts = _mm512_loadu_si512(stage->shifts + channel);
  const __m512i low = _mm512_set1_epi64(UINT32_MAX);
  return (Channels){multipliers, _mm512_srli_epi64(multipliers, 32), shifts,
                    rounding(_mm512_and_si512(shifts, low)),
                    rounding(_mm512_srli_epi64(shifts, 32))};
}

// core/output_stage.h has the formula: the division by 2^32 leaves upper halves.
static inline __m512i scale(__m512i sums, const Channels* channels) {
  const __m512i sign = _mm512_set1_epi64(INT64_C(1) << 31);
  const __m512i odd_sums = _mm512_srli_epi64(sums, 32);
  __m512i even = _mm512_mul_epi32(sums, channels->even);
  __m512i odd = _mm512_mul_epi32(odd_sums, channels->odd);
  even = _mm512_add_epi64(even, channels->even_rounding);
  odd = _mm512_add_epi64(odd, channels->odd_rounding);
  // A negative sum's own sign bit is the 2^31 to take off.
  even = _mm512_sub_epi64(even, _mm512_and_si512(sums, sign));
  odd = _mm512_sub_epi64(odd, _mm512_and_si512(odd_sums, sign));
  const __m512i high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
  return _mm512_srav_epi32(high, channels->shifts);
}

void oaq_output_avx512bw(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                         size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                         size_t out_stride) {
  if (stage->multipliers == NULL) {
    oaq_output_scalar(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
    return;
  }
  const __m512i zero_point = _mm512_set1_epi32(stage->requantize.zero_point);
  const __m512i lo = _mm512_set1_epi32(stage->requantize.lo);
  const __m512i hi = _mm512_set1_epi32(stage->requantize.hi);
  for (size_t n = 0; n < channels; n += 16) {
    const Channels loaded = load_channels(stage, first_channel + n);
    const __mmask16 mask = (__mmask16)((1u << oaq_min_size(16, channels - n)) - 1);
    for (size_t m = 0; m < rows; ++m) {
      const __m512i sums = _mm512_loadu_si512(acc + m * acc_stride + n);
      __m512i codes = _mm512_add_epi32(scale(sums, &loaded), zero_point);
      codes = _mm512_min_epi32(_mm512_max_epi32(codes, lo), hi);
      _mm512_mask_cvtepi32_storeu_epi8(out + m * out_stride + n, mask, codes);
    }
  }
}
