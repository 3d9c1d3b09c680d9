// SPDX-License-Identifier: Apache-2.0
#include <smmintrin.h>

#include "core/sse41/depthwise_sse41.h"

static inline void copy_pixel(const int8_t* in, __m128i low, __m128i* out) {
  _mm_store_si128(out, _mm_sub_epi8(_mm_loadu_si128((const __m128i*)in), low));
}

void oaq_depthwise_copy_sse41(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                              void* out) {
  const __m128i low = _mm_set1_epi8((char)shift);
  __m128i* to = out;
  for (; columns >= 4; columns -= 4, in += 4 * stride, to += 4) {
    for (size_t n = 0; n < 4; ++n) copy_pixel(in + n * stride, low, to + n);
  }
  for (; columns > 0; --columns, in += stride) copy_pixel(in, low, to++);
}

static inline void copy_wide_pixel(const int8_t* in, __m128i low, __m128i* out) {
  const __m128i codes = _mm_loadu_si128((const __m128i*)in);
  const __m128i upper = _mm_unpackhi_epi64(codes, codes);
  _mm_store_si128(out, _mm_sub_epi16(_mm_cvtepi8_epi16(codes), low));
  _mm_store_si128(out + 1, _mm_sub_epi16(_mm_cvtepi8_epi16(upper), low));
}

void oaq_depthwise_copy_wide_sse41(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                                   void* out) {
  const __m128i low = _mm_set1_epi16((int16_t)shift);
  __m128i* to = out;
  for (; columns >= 4; columns -= 4, in += 4 * stride, to += 8) {
    for (size_t n = 0; n < 4; ++n) copy_wide_pixel(in + n * stride, low, to + 2 * n);
  }
  for (; columns > 0; --columns, in += stride, to += 2) copy_wide_pixel(in, low, to);
}
