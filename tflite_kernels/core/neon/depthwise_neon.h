// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_DEPTHWISE_NEON_H_
#define OAQ_CORE_NEON_DEPTHWISE_NEON_H_

#include "core/kernels.h"

// DEPTHWISE_CONV_2D for NEON. Signatures and meaning: core/kernels.h.

extern const OaqDepthwise oaq_depthwise_neon;

void oaq_depthwise_copy_neon(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                             void* out);
void oaq_depthwise_i16_neon(size_t columns, const OaqDrains* drains, const void* const* taps,
                            size_t column_stride, const int8_t* b, const int32_t* bias,
                            int32_t* acc);
void oaq_depthwise_i16_3x3_s1_neon(size_t columns, const OaqDrains* drains, const void* const* rows,
                                   size_t column_stride, const int8_t* b, const int32_t* bias,
                                   int32_t* acc);
void oaq_depthwise_i16_3x3_s2_neon(size_t columns, const OaqDrains* drains, const void* const* rows,
                                   size_t column_stride, const int8_t* b, const int32_t* bias,
                                   int32_t* acc);
void oaq_depthwise_i16_5x5_s1_neon(size_t columns, const OaqDrains* drains, const void* const* rows,
                                   size_t column_stride, const int8_t* b, const int32_t* bias,
                                   int32_t* acc);
void oaq_depthwise_i16_5x5_s2_neon(size_t columns, const OaqDrains* drains, const void* const* rows,
                                   size_t column_stride, const int8_t* b, const int32_t* bias,
                                   int32_t* acc);
void oaq_depthwise_codes_3x3_s1_neon(size_t columns, const OaqDrains* drains,
                                     const void* const* rows, size_t column_stride, const int8_t* b,
                                     const int32_t* bias, const OaqOutputStage* stage,
                                     size_t channel, int8_t* out, size_t out_stride);
void oaq_depthwise_codes_3x3_s2_neon(size_t columns, const OaqDrains* drains,
                                     const void* const* rows, size_t column_stride, const int8_t* b,
                                     const int32_t* bias, const OaqOutputStage* stage,
                                     size_t channel, int8_t* out, size_t out_stride);
void oaq_depthwise_codes_5x5_s1_neon(size_t columns, const OaqDrains* drains,
                                     const void* const* rows, size_t column_stride, const int8_t* b,
                                     const int32_t* bias, const OaqOutputStage* stage,
                                     size_t channel, int8_t* out, size_t out_stride);
void oaq_depthwise_codes_5x5_s2_neon(size_t columns, const OaqDrains* drains,
                                     const void* const* rows, size_t column_stride, const int8_t* b,
                                     const int32_t* bias, const OaqOutputStage* stage,
                                     size_t channel, int8_t* out, size_t out_stride);
void oaq_depthwise_i32_neon(size_t columns, size_t steps, const void* const* taps,
                            size_t column_stride, const void* b, const int32_t* bias, int32_t* acc);
void oaq_depthwise_i32_pairs_neon(size_t columns, size_t steps, const void* const* taps,
                                  size_t column_stride, const void* b, const int32_t* bias,
                                  int32_t* acc);
void oaq_depthwise_i32_pairs_3x3_s1_neon(size_t columns, size_t steps, const void* const* rows,
                                         size_t column_stride, const void* b, const int32_t* bias,
                                         int32_t* acc);
void oaq_depthwise_i32_pairs_3x3_s2_neon(size_t columns, size_t steps, const void* const* rows,
                                         size_t column_stride, const void* b, const int32_t* bias,
                                         int32_t* acc);
void oaq_depthwise_i32_pairs_5x5_s1_neon(size_t columns, size_t steps, const void* const* rows,
                                         size_t column_stride, const void* b, const int32_t* bias,
                                         int32_t* acc);
void oaq_depthwise_i32_pairs_5x5_s2_neon(size_t columns, size_t steps, const void* const* rows,
                                         size_t column_stride, const void* b, const int32_t* bias,
                                         int32_t* acc);

// Clamps a tile's codes, for kernels that have no registers for an activation that few models have.
void oaq_depthwise_clamp_neon(size_t columns, const OaqOutputStage* stage, int8_t* out,
                              size_t out_stride);

#endif  // OAQ_CORE_NEON_DEPTHWISE_NEON_H_
