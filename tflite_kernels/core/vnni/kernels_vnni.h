// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_VNNI_KERNELS_VNNI_H_
#define OAQ_CORE_VNNI_KERNELS_VNNI_H_

#include "core/kernels.h"

// x86 with VPDPBUSD: of AVX512-VNNI with 512 bits, with 256, and of AVX-VNNI. Signatures and
// meaning: core/kernels.h.

void oaq_gemm_i32_c4_8x32_vnni(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                               int32_t* acc);
void oaq_gemm_i32_c4_12x16_vnni(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                                int32_t* acc);
void oaq_gemm_i32_c4_6x16_vnni256(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                                  int32_t* acc);
void oaq_gemm_i32_c4_6x16_avxvnni(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                                  int32_t* acc);

#endif  // OAQ_CORE_VNNI_KERNELS_VNNI_H_
