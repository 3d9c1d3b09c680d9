// SPDX-License-Identifier: Apache-2.0
#include "core/scalar/kernels_scalar.h"

const OaqKernels oaq_kernels_scalar = {
    .isa = "scalar",
    .gemm_layout = &oaq_layout_c8,
    .depthwise_layout = &oaq_layout_channel,
    .gemm_i16 = oaq_gemm_i16_c8_4x4_scalar,
    .gemm_i32 = oaq_gemm_i32_4x4_scalar,
    .depthwise_i16 = oaq_depthwise_i16_scalar,
    .depthwise_i32 = oaq_depthwise_i32_scalar,
    .gemm_cost = {1.0f, 1.0f, 1.5f},
    .depthwise_cost = {1.0f, 1.0f, 1.5f},
};
