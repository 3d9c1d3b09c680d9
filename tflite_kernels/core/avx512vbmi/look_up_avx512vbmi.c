// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/avx512vbmi/kernels_avx512vbmi.h"

enum { kVector = 64 };

// Half of the table by the lower seven bits, either half by the top one.
static inline __m512i look_up(const __m512i table[4], __m512i codes) {
  const __m512i low = _mm512_permutex2var_epi8(table[0], codes, table[1]);
  const __m512i high = _mm512_permutex2var_epi8(table[2], codes, table[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high);
}

void oaq_look_up_avx512vbmi(const uint8_t* bytes, size_t count, const uint8_t* in, uint8_t* out) {
  __m512i table[4];
  for (int i = 0; i < 4; ++i) table[i] = _mm512_loadu_si512(bytes + i * kVector);
  size_t i = 0;
  for (; i + kVector <= count; i += kVector) {
    _mm512_storeu_si512(out + i, look_up(table, _mm512_loadu_si512(in + i)));
  }
  if (i == count) return;
  const __mmask64 rest = ~UINT64_C(0) >> (kVector - (count - i));
  const __m512i codes = _mm512_maskz_loadu_epi8(rest, in + i);
  _mm512_mask_storeu_epi8(out + i, rest, look_up(table, codes));
}
