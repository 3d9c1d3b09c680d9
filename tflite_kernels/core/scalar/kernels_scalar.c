// SPDX-License-Identifier: Apache-2.0
#include "core/scalar/kernels_scalar.h"

#include "core/threads.h"

#if defined(__aarch64__) || defined(__ARM_NEON)
// Instructions in gcc 12's output for eight products: two loads and SMLAL; SADDW twice, clearing
// and the loop's ends; two loads, SMULL and SADDW twice.
#define GEMM_COST {3.0f, 6.0f, 5.0f}
#elif defined(__clang__)
// Nanoseconds for a tile of four rows on a Zen 5 server core, clang 14 -O3 for SSE2.
#define GEMM_COST {6.7f, 3.0f, 31.8f}
#else
// The same for gcc 12, whose two loops take about the same time: exact, for lack of a gain.
#define GEMM_COST {12.0f, 20.0f, 11.5f}
#endif

static const OaqGemm kGemm = {.layout = &oaq_layout_c8,
                              .rows = 4,
                              .i16 = oaq_gemm_i16_c8_4x4_scalar,
                              .i32 = oaq_gemm_i32_4x4_scalar,
                              .cost = GEMM_COST};

static const OaqDepthwise kDepthwise = {
    .layout = &oaq_layout_channel,
    .form = {16, oaq_depthwise_copy_scalar},
    .i16 = oaq_depthwise_i16_scalar,
    .i32 = oaq_depthwise_i32_scalar,
    // Nanoseconds a tap of sixteen channels, as above.
    .cost = {0.8f, 1.0f, 1.3f},
};

const OaqKernels oaq_kernels_scalar = {
    .isa = "scalar",
    .part_macs = OAQ_PART_MACS,
    .gemms = &kGemm,
    .num_gemms = 1,
    .depthwise = &kDepthwise,
    .output = oaq_output_scalar,
};
