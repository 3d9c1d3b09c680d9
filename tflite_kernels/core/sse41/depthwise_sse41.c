// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/depthwise_sse41.h"

// Costs as in core/x86/kernels_x86.c. For lack of a drain of its own, a filter's is so high that a
// tile with two blocks costs what it does on the kernels for any filter.
static const OaqDepthwiseFilter kFilters[] = {
    {3, 3, 1, oaq_depthwise_i16_3x3_s1_sse41, oaq_depthwise_i32_3x3_s1_sse41,
     .cost = {0.5f, 9.3f, 3.3f}},
    {3, 3, 2, oaq_depthwise_i16_3x3_s2_sse41, oaq_depthwise_i32_3x3_s2_sse41,
     .cost = {0.7f, 8.8f, 3.5f}},
    {5, 5, 1, oaq_depthwise_i16_5x5_s1_sse41, oaq_depthwise_i32_5x5_s1_sse41,
     .cost = {0.9f, 12.9f, 3.3f}},
    {5, 5, 2, oaq_depthwise_i16_5x5_s2_sse41, oaq_depthwise_i32_5x5_s2_sse41,
     .cost = {1.0f, 12.4f, 3.4f}},
};

const OaqDepthwise oaq_depthwise_sse41 = {
    .layout = &oaq_layout_channel_pairs_16,
    .shifted = true,
    .exact_wide = true,
    .form = {16, oaq_depthwise_copy_sse41},
    .wide_form = {32, oaq_depthwise_copy_wide_sse41},
    .i16 = oaq_depthwise_i16_sse41,
    .i32 = oaq_depthwise_i32_sse41,
    .cost = {2.1f, 5.3f, 5.0f},
    .filters = kFilters,
    .num_filters = sizeof(kFilters) / sizeof(kFilters[0]),
};
