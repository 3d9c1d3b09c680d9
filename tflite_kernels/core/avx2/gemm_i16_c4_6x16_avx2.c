// SPDX-License-Identifier: Apache-2.0
#include "core/avx2/kernels_avx2.h"
#include "core/avx2/vector_avx2.h"

static inline Vector multiply(Vector codes, Vector weights) {
  return _mm256_maddubs_epi16(codes, weights);
}

static inline Vector add_lanes(Vector a, Vector b) { return _mm256_add_epi16(a, b); }

static inline Vector multiply_add(Vector lanes, Vector codes, Vector weights) {
  return add_lanes(lanes, multiply(codes, weights));
}

// Read where they lie, in assembly: in a register, which gcc 12 would keep through the loop, they
// would push a lane's out of it.
static const Vector kOnes = {0x0001000100010001, 0x0001000100010001, 0x0001000100010001,
                             0x0001000100010001};

static inline Vector drain(Vector sums, Vector lanes) {
  Vector pairs;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(pairs) : "x"(lanes), "m"(kOnes));
  return _mm256_add_epi32(sums, pairs);
}

#include "core/x86/gemm_i16.h"

void oaq_gemm_i16_c4_6x16_avx2(size_t rows, const OaqDrains* drains, const OaqRows* a,
                               const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm_i16(rows, drains, a, b, bias, acc);
}
