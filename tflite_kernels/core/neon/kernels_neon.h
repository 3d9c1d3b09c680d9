// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_KERNELS_NEON_H_
#define OAQ_CORE_NEON_KERNELS_NEON_H_

#include "core/kernels.h"

// ARM with NEON: 64-bit (AArch64) and 32-bit (ARMv7). Signatures and meaning: core/kernels.h.

// 4 rows want AArch64's 32 registers, 2 do with ARMv7's 16.
void oaq_gemm_i16_c8_4x4_neon(size_t rows, const OaqDrains* drains, const OaqRows* a,
                              const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i16_c8_2x4_neon(size_t rows, const OaqDrains* drains, const OaqRows* a,
                              const int8_t* b, const int32_t* bias, int32_t* acc);

void oaq_gemm_i32_c8_4x4_neon(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                              int32_t* acc);
void oaq_gemm_i32_c8_2x4_neon(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                              int32_t* acc);
void oaq_gemm_i32_pairs_c8_4x4_neon(size_t rows, const OaqRows* a, const void* b,
                                    const int32_t* bias, int32_t* acc);
void oaq_gemm_i32_pairs_c8_2x4_neon(size_t rows, const OaqRows* a, const void* b,
                                    const int32_t* bias, int32_t* acc);

void oaq_output_neon(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                     size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                     size_t out_stride);
// In AArch64 alone, whose TBL has four registers of a table.
void oaq_look_up_neon(const uint8_t* bytes, size_t count, const uint8_t* in, uint8_t* out);

// With SDOT and with SMMLA, in AArch64 alone.
void oaq_gemm_i32_c4_8x8_dotprod(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                                 int32_t* acc);
void oaq_gemm_i32_c8_8x8_i8mm(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                              int32_t* acc);

#endif  // OAQ_CORE_NEON_KERNELS_NEON_H_
