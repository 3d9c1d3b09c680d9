// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_SSE41_VECTOR_SSE41_H_
#define OAQ_CORE_SSE41_VECTOR_SSE41_H_

#include <smmintrin.h>
#include <stdint.h>

// The registers of core/x86/gemm_steps.h.

#define OAQ_ROWS 4
#define OAQ_VECTORS 2

typedef __m128i Vector;

static inline Vector load(const void* from) { return _mm_loadu_si128(from); }
static inline void store(void* to, Vector value) { _mm_storeu_si128(to, value); }
static inline Vector broadcast(int32_t value) { return _mm_set1_epi32(value); }

#endif  // OAQ_CORE_SSE41_VECTOR_SSE41_H_
