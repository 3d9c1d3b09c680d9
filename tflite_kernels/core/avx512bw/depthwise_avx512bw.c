// SPDX-License-Identifier: Apache-2.0
#include "core/avx512bw/depthwise_avx512bw.h"

// Costs as in core/x86/kernels_x86.c. For lack of a drain of its own, a filter's is so high that a
// tile with two blocks costs what it does on the kernels for any filter.
static const OaqDepthwiseFilter kFilters[] = {
    {3, 3, 1, oaq_depthwise_i16_3x3_s1_avx512bw, oaq_depthwise_i32_3x3_s1_avx512bw,
     .cost = {0.7f, 5.2f, 2.5f}},
    {3, 3, 2, oaq_depthwise_i16_3x3_s2_avx512bw, oaq_depthwise_i32_3x3_s2_avx512bw,
     .cost = {0.9f, 4.7f, 2.7f}},
    {5, 5, 1, oaq_depthwise_i16_5x5_s1_avx512bw, oaq_depthwise_i32_5x5_s1_avx512bw,
     .cost = {0.8f, 7.9f, 2.4f}},
    {5, 5, 2, oaq_depthwise_i16_5x5_s2_avx512bw, oaq_depthwise_i32_5x5_s2_avx512bw,
     .cost = {0.9f, 7.4f, 2.6f}},
};

const OaqDepthwise oaq_depthwise_avx512bw = {
    .layout = &oaq_layout_channel_pairs_32,
    .shifted = true,
    .exact_wide = true,
    .form = {64, oaq_depthwise_copy_avx512bw},
    .wide_form = {64, oaq_depthwise_copy_wide_avx512bw},
    .i16 = oaq_depthwise_i16_avx512bw,
    .i32 = oaq_depthwise_i32_avx512bw,
    .cost = {1.6f, 3.1f, 3.4f},
    .filters = kFilters,
    .num_filters = sizeof(kFilters) / sizeof(kFilters[0]),
};
