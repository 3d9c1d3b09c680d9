// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX2_VECTOR_AVX2_H_
#define OAQ_CORE_AVX2_VECTOR_AVX2_H_

#include <immintrin.h>
#include <stdint.h>

// The registers of core/x86/gemm_steps.h.

#define OAQ_ROWS 6
#define OAQ_VECTORS 2

typedef __m256i Vector;

static inline Vector load(const void* from) { return _mm256_loadu_si256(from); }
static inline void store(void* to, Vector value) { _mm256_storeu_si256(to, value); }
static inline Vector broadcast(int32_t value) { return _mm256_set1_epi32(value); }

#endif  // OAQ_CORE_AVX2_VECTOR_AVX2_H_
