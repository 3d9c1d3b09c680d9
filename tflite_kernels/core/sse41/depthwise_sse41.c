// SPDX-License-Identifier: Apache-2.0
#include "core/sse41/depthwise_sse41.h"

// Costs in cycles of a Sapphire Rapids' time stamp counter for a column of a tile, gcc 12. For lack
// of a drain of its own, a filter's is so high that a tile with two blocks costs what it does on
// the kernels for any filter.
static const OaqDepthwiseFilter kFilters[] = {
    {3, 3, 1, oaq_depthwise_i16_3x3_s1_sse41, oaq_depthwise_i32_3x3_s1_sse41, {0.06f, 8.6f, 2.6f}},
    {3, 3, 2, oaq_depthwise_i16_3x3_s2_sse41, oaq_depthwise_i32_3x3_s2_sse41, {0.12f, 8.5f, 2.75f}},
    {5,
     5,
     1,
     oaq_depthwise_i16_5x5_s1_sse41,
     oaq_depthwise_i32_5x5_s1_sse41,
     {0.46f, 12.8f, 2.55f}},
    {5,
     5,
     2,
     oaq_depthwise_i16_5x5_s2_sse41,
     oaq_depthwise_i32_5x5_s2_sse41,
     {0.49f, 12.8f, 2.65f}},
};

const OaqDepthwise oaq_depthwise_sse41 = {
    .layout = &oaq_layout_channel_pairs_16,
    .shifted = true,
    .exact_wide = true,
    .form = {16, oaq_depthwise_copy_sse41},
    .wide_form = {32, oaq_depthwise_copy_wide_sse41},
    .i16 = oaq_depthwise_i16_sse41,
    .i32 = oaq_depthwise_i32_sse41,
    .cost = {1.75f, 4.3f, 4.1f},
    .filters = kFilters,
    .num_filters = sizeof(kFilters) / sizeof(kFilters[0]),
};
