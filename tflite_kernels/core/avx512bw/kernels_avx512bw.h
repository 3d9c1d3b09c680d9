// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX512BW_KERNELS_AVX512BW_H_
#define OAQ_CORE_AVX512BW_KERNELS_AVX512BW_H_

#include "core/kernels.h"

// x86 with AVX512BW. Signatures and meaning: core/kernels.h.

void oaq_gemm_i16_c4_8x32_avx512bw(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                   const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i16_c4_12x16_avx512bw(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                    const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i32_wide_8x32_avx512bw(size_t rows, const OaqRows* a, const void* b,
                                     const int32_t* bias, int32_t* acc);
void oaq_gemm_i32_wide_12x16_avx512bw(size_t rows, const OaqRows* a, const void* b,
                                      const int32_t* bias, int32_t* acc);
void oaq_output_avx512bw(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                         size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                         size_t out_stride);

#endif  // OAQ_CORE_AVX512BW_KERNELS_AVX512BW_H_
