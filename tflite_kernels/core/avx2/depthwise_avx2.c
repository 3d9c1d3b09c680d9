// SPDX-License-Identifier: Apache-2.0
#include "core/avx2/depthwise_avx2.h"

// Costs as in core/x86/kernels_x86.c. For lack of a drain of its own, a filter's is so high that a
// tile with two blocks costs what it does on the kernels for any filter.
static const OaqDepthwiseFilter kFilters[] = {
    {3, 3, 1, oaq_depthwise_i16_3x3_s1_avx2, oaq_depthwise_i32_3x3_s1_avx2,
     .cost = {0.0f, 12.2f, 3.3f}},
    {3, 3, 2, oaq_depthwise_i16_3x3_s2_avx2, oaq_depthwise_i32_3x3_s2_avx2,
     .cost = {0.3f, 11.4f, 3.9f}},
    {5, 5, 1, oaq_depthwise_i16_5x5_s1_avx2, oaq_depthwise_i32_5x5_s1_avx2,
     .cost = {0.5f, 18.9f, 3.4f}},
    {5, 5, 2, oaq_depthwise_i16_5x5_s2_avx2, oaq_depthwise_i32_5x5_s2_avx2,
     .cost = {0.6f, 18.1f, 3.8f}},
};

const OaqDepthwise oaq_depthwise_avx2 = {
    .layout = &oaq_layout_channel_pairs_32,
    .shifted = true,
    .exact_wide = true,
    .form = {32, oaq_depthwise_copy_avx2},
    .wide_form = {64, oaq_depthwise_copy_wide_avx2},
    .i16 = oaq_depthwise_i16_avx2,
    .i32 = oaq_depthwise_i32_avx2,
    .cost = {2.6f, 5.7f, 5.6f},
    .filters = kFilters,
    .num_filters = sizeof(kFilters) / sizeof(kFilters[0]),
};
