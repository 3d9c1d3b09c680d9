// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_SCALAR_KERNELS_SCALAR_H_
#define OAQ_CORE_SCALAR_KERNELS_SCALAR_H_

#include "core/kernels.h"

// Portable C. Signatures and meaning: core/kernels.h.

void oaq_gemm_i16_c8_4x4_scalar(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i32_4x4_scalar(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                             int32_t* acc);
void oaq_depthwise_copy_scalar(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                               void* out);
void oaq_depthwise_i16_scalar(size_t columns, const OaqDrains* drains, const void* const* taps,
                              size_t column_stride, const int8_t* b, const int32_t* bias,
                              int32_t* acc);
void oaq_depthwise_i32_scalar(size_t columns, size_t steps, const void* const* taps,
                              size_t column_stride, const void* b, const int32_t* bias,
                              int32_t* acc);

#endif  // OAQ_CORE_SCALAR_KERNELS_SCALAR_H_
