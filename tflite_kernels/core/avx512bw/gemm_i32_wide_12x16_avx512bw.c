// SPDX-License-Identifier: Apache-2.0
#include "core/avx512bw/kernels_avx512bw.h"
#include "core/avx512bw/wide_avx512.h"

#define OAQ_ROWS 12
#define OAQ_VECTORS 1
#include "core/x86/gemm_i32.h"

void oaq_gemm_i32_wide_12x16_avx512bw(size_t rows, const OaqRows* a, const void* b,
                                      const int32_t* bias, int32_t* acc) {
  gemm_i32(rows, a, b, bias, acc);
}
