// SPDX-License-Identifier: Apache-2.0
#include "core/neon/kernels_neon.h"

#define OAQ_ROWS 2
#include "core/neon/gemm_i16_c8.h"

void oaq_gemm_i16_c8_2x4_neon(size_t rows, const OaqDrains* drains, const OaqRows* a,
                              const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm_i16(rows, drains, a, b, bias, acc);
}
