// SPDX-License-Identifier: Apache-2.0
#include "core/avx512bw/kernels_avx512bw.h"
#include "core/avx512bw/pairs_avx512.h"

#define OAQ_ROWS 12
#define OAQ_VECTORS 1
#include "core/x86/gemm_i16.h"

void oaq_gemm_i16_c4_12x16_avx512bw(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                    const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm_i16(rows, drains, a, b, bias, acc);
}
