// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX512BW_VECTOR_AVX512_H_
#define OAQ_CORE_AVX512BW_VECTOR_AVX512_H_

#include <immintrin.h>
#include <stdint.h>

// The registers of core/x86/gemm_steps.h; a file says how many of them, OAQ_ROWS and OAQ_VECTORS.

typedef __m512i Vector;

static inline Vector load(const void* from) { return _mm512_loadu_si512(from); }
static inline void store(void* to, Vector value) { _mm512_storeu_si512(to, value); }
static inline Vector broadcast(int32_t value) { return _mm512_set1_epi32(value); }

#endif  // OAQ_CORE_AVX512BW_VECTOR_AVX512_H_
