// SPDX-License-Identifier: Apache-2.0
#include "core/neon/kernels_neon.h"

#define OAQ_ROWS 4
#define OAQ_PAIRED false
#include "core/neon/gemm_i32_c8.h"

void oaq_gemm_i32_c8_4x4_neon(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                              int32_t* acc) {
  gemm_i32(rows, a, b, bias, acc);
}
