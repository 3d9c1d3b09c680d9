// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_DEPTHWISE_FAMILY_H_
#define OAQ_CORE_NEON_DEPTHWISE_FAMILY_H_

#include "core/neon/depthwise_neon.h"

// The family by the kernels that end in codes, NULL where there is none.
//
// Costs: cycles of a column of a tile, counted like those of core/arm/kernels_arm.c for in-order
// cores; on others all are about half of it. For lack of a drain of its own, a filter's is so high
// that a tile with two blocks costs what it does on the kernels for any filter. They are of kernels
// for sums: those that end in codes are faster yet, and plans take int16 for one block anyway.
#define OAQ_DEFINE_DEPTHWISE(name, codes_3x3_s1, codes_3x3_s2, codes_5x5_s1, codes_5x5_s2) \
  static const OaqDepthwiseFilter kFilters[] = {                                           \
      {3, 3, 1, oaq_depthwise_i16_3x3_s1_neon, oaq_depthwise_i32_pairs_3x3_s1_neon,        \
       .cost = {0.5f, 39.5f, 6.4f}, .i16_codes = (codes_3x3_s1)},                          \
      {3, 3, 2, oaq_depthwise_i16_3x3_s2_neon, oaq_depthwise_i32_pairs_3x3_s2_neon,        \
       .cost = {0.5f, 43.0f, 6.9f}, .i16_codes = (codes_3x3_s2)},                          \
      {5, 5, 1, oaq_depthwise_i16_5x5_s1_neon, oaq_depthwise_i32_pairs_5x5_s1_neon,        \
       .cost = {0.5f, 85.5f, 5.8f}, .i16_codes = (codes_5x5_s1)},                          \
      {5, 5, 2, oaq_depthwise_i16_5x5_s2_neon, oaq_depthwise_i32_pairs_5x5_s2_neon,        \
       .cost = {0.5f, 92.5f, 6.1f}, .i16_codes = (codes_5x5_s2)},                          \
  };                                                                                       \
  const OaqDepthwise name = {                                                              \
      .layout = &oaq_layout_channel,                                                       \
      .form = {16, oaq_depthwise_copy_neon},                                               \
      .i16 = oaq_depthwise_i16_neon,                                                       \
      .i32 = oaq_depthwise_i32_neon,                                                       \
      .i32_pairs = oaq_depthwise_i32_pairs_neon,                                           \
      .cost = {7.0f, 7.0f, 8.0f},                                                          \
      .filters = kFilters,                                                                 \
      .num_filters = sizeof(kFilters) / sizeof(kFilters[0]),                               \
  }

#endif  // OAQ_CORE_NEON_DEPTHWISE_FAMILY_H_
