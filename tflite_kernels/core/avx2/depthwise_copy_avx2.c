// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/avx2/depthwise_avx2.h"

// Quarters 0, 2, 1, 3: see depthwise_vectors_*_avx2.h.
enum { kQuarters = 0xD8 };

static inline void copy_pixel(const int8_t* in, __m256i low, __m256i* out) {
  const __m256i codes = _mm256_loadu_si256((const __m256i*)in);
  _mm256_store_si256(out, _mm256_sub_epi8(_mm256_permute4x64_epi64(codes, kQuarters), low));
}

void oaq_depthwise_copy_avx2(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                             void* out) {
  const __m256i low = _mm256_set1_epi8((char)shift);
  __m256i* to = out;
  for (; columns >= 4; columns -= 4, in += 4 * stride, to += 4) {
    for (size_t n = 0; n < 4; ++n) copy_pixel(in + n * stride, low, to + n);
  }
  for (; columns > 0; --columns, in += stride) copy_pixel(in, low, to++);
}

static inline void copy_wide_pixel(const int8_t* in, __m256i low, __m256i* out) {
  for (size_t half = 0; half < 2; ++half) {
    const __m128i codes = _mm_loadu_si128((const __m128i*)in + half);
    const __m256i wide = _mm256_sub_epi16(_mm256_cvtepi8_epi16(codes), low);
    _mm256_store_si256(out + half, _mm256_permute4x64_epi64(wide, kQuarters));
  }
}

void oaq_depthwise_copy_wide_avx2(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                                  void* out) {
  const __m256i low = _mm256_set1_epi16((int16_t)shift);
  __m256i* to = out;
  for (; columns >= 4; columns -= 4, in += 4 * stride, to += 8) {
    for (size_t n = 0; n < 4; ++n) copy_wide_pixel(in + n * stride, low, to + 2 * n);
  }
  for (; columns > 0; --columns, in += stride, to += 2) copy_wide_pixel(in, low, to);
}
