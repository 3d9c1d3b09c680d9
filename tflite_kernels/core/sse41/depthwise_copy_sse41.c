// SPDX-License-Identifier: Apache-2.0
#include <smmintrin.h>

#include "core/sse41/depthwise_sse41.h"

void oaq_depthwise_copy_sse41(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                              void* out) {
  const __m128i low = _mm_set1_epi8((char)shift);
  __m128i* to = out;
  for (size_t n = 0; n < columns; ++n, in += stride) {
    _mm_store_si128(to++, _mm_sub_epi8(_mm_loadu_si128((const __m128i*)in), low));
  }
}

void oaq_depthwise_copy_wide_sse41(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                                   void* out) {
  const __m128i low = _mm_set1_epi16((int16_t)shift);
  __m128i* to = out;
  for (size_t n = 0; n < columns; ++n, in += stride) {
    const __m128i codes = _mm_loadu_si128((const __m128i*)in);
    const __m128i upper = _mm_unpackhi_epi64(codes, codes);
    _mm_store_si128(to++, _mm_sub_epi16(_mm_cvtepi8_epi16(codes), low));
    _mm_store_si128(to++, _mm_sub_epi16(_mm_cvtepi8_epi16(upper), low));
  }
}
