// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX2_KERNELS_AVX2_H_
#define OAQ_CORE_AVX2_KERNELS_AVX2_H_

#include "core/kernels.h"

// x86 with AVX2 and FMA. Signatures and meaning: core/kernels.h.

void oaq_gemm_i16_c4_6x16_avx2(size_t rows, const OaqDrains* drains, const OaqRows* a,
                               const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i32_wide_6x16_avx2(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                                 int32_t* acc);
void oaq_output_avx2(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                     size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                     size_t out_stride);

// Whether the output stage of 16 channels from `channel` on can be taken in doubles.
bool oaq_output_fits_double_avx2(const OaqOutputStage* stage, size_t channel);

// Its codes of the first `channels` <= 16 of them.
void oaq_output_double_avx2(const OaqOutputStage* stage, size_t channel, size_t channels,
                            size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                            size_t out_stride);

#endif  // OAQ_CORE_AVX2_KERNELS_AVX2_H_
