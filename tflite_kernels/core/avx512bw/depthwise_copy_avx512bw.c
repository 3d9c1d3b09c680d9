// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/avx512bw/depthwise_avx512bw.h"

static inline void copy_pixel(const int8_t* in, __m256i low, __m512i twice, __m512i* out) {
  const __m256i codes = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i*)in), low);
  _mm512_store_si512(out, _mm512_shuffle_epi8(_mm512_cvtepu8_epi16(codes), twice));
}

// Each code twice: see depthwise_vectors_i16_avx512bw.h.
void oaq_depthwise_copy_avx512bw(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                                 void* out) {
  const __m256i low = _mm256_set1_epi8((char)shift);
  const __m512i twice =
      _mm512_broadcast_i32x4(_mm_set_epi8(14, 14, 12, 12, 10, 10, 8, 8, 6, 6, 4, 4, 2, 2, 0, 0));
  __m512i* to = out;
  for (; columns >= 4; columns -= 4, in += 4 * stride, to += 4) {
    for (size_t n = 0; n < 4; ++n) copy_pixel(in + n * stride, low, twice, to + n);
  }
  for (; columns > 0; --columns, in += stride) copy_pixel(in, low, twice, to++);
}

static inline void copy_wide_pixel(const int8_t* in, __m512i low, __m512i order, __m512i* out) {
  const __m512i codes = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)in));
  _mm512_store_si512(out, _mm512_permutexvar_epi64(order, _mm512_sub_epi16(codes, low)));
}

void oaq_depthwise_copy_wide_avx512bw(size_t columns, const int8_t* in, size_t stride,
                                      int32_t shift, void* out) {
  const __m512i low = _mm512_set1_epi16((int16_t)shift);
  // See depthwise_vectors_i32_avx512bw.h.
  const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
  __m512i* to = out;
  for (; columns >= 4; columns -= 4, in += 4 * stride, to += 4) {
    for (size_t n = 0; n < 4; ++n) copy_wide_pixel(in + n * stride, low, order, to + n);
  }
  for (; columns > 0; --columns, in += stride) copy_wide_pixel(in, low, order, to++);
}
