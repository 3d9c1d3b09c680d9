// SPDX-License-Identifier: Apache-2.0
#include "core/vnni/dot_avx512.h"
#include "core/vnni/kernels_vnni.h"

#define OAQ_ROWS 8
#define OAQ_VECTORS 2
#include "core/x86/gemm_i32.h"

void oaq_gemm_i32_c4_8x32_vnni(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                               int32_t* acc) {
  gemm_i32(rows, a, b, bias, acc);
}
