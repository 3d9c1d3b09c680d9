// SPDX-License-Identifier: Apache-2.0
#include "core/aarch64/kernels_aarch64.h"
#include "core/neon/depthwise_neon.h"

static const OaqDepthwiseFilter kFilters[] = {
    {3, 3, 1, oaq_depthwise_i16_3x3_s1_neon, oaq_depthwise_i32_pairs_3x3_s1_neon,
     .cost = {0.5f, 39.5f, 6.4f}, .i16_codes = oaq_depthwise_codes_3x3_s1_a53},
    {3, 3, 2, oaq_depthwise_i16_3x3_s2_neon, oaq_depthwise_i32_pairs_3x3_s2_neon,
     .cost = {0.5f, 43.0f, 6.9f}, .i16_codes = oaq_depthwise_codes_3x3_s2_a53},
    {5, 5, 1, oaq_depthwise_i16_5x5_s1_neon, oaq_depthwise_i32_pairs_5x5_s1_neon,
     .cost = {0.5f, 85.5f, 5.8f}, .i16_codes = oaq_depthwise_codes_5x5_s1_neon},
    {5, 5, 2, oaq_depthwise_i16_5x5_s2_neon, oaq_depthwise_i32_pairs_5x5_s2_neon,
     .cost = {0.5f, 92.5f, 6.1f}, .i16_codes = oaq_depthwise_codes_5x5_s2_neon},
};

const OaqDepthwise oaq_depthwise_a53 = {
    .layout = &oaq_layout_channel,
    .form = {16, oaq_depthwise_copy_neon},
    .i16 = oaq_depthwise_i16_neon,
    .i32 = oaq_depthwise_i32_neon,
    .i32_pairs = oaq_depthwise_i32_pairs_neon,
    .cost = {7.0f, 7.0f, 8.0f},
    .filters = kFilters,
    .num_filters = sizeof(kFilters) / sizeof(kFilters[0]),
};
