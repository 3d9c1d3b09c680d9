// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_REFERENCE_H_
#define OAQ_CORE_REFERENCE_H_

#include "core/conv_2d.h"
#include "core/depthwise_conv_2d.h"
#include "core/fully_connected.h"
#include "core/transpose_conv.h"

// What every kernel must equal, in plain loops; for tests. Shapes as in the ops' headers.

void oaq_reference_conv_2d(const OaqConv2dParams* params, int32_t batch, int32_t height,
                           int32_t width, const int8_t* input, const int8_t* weights,
                           const int32_t* bias, int8_t* output);

void oaq_reference_depthwise_conv_2d(const OaqDepthwiseConv2dParams* params, int32_t batch,
                                     int32_t height, int32_t width, const int8_t* input,
                                     const int8_t* weights, const int32_t* bias, int8_t* output);

void oaq_reference_fully_connected(const OaqFullyConnectedParams* params, size_t batch,
                                   const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   int8_t* output);

void oaq_reference_transpose_conv(const OaqTransposeConvParams* params, int32_t batch,
                                  int32_t height, int32_t width, const int8_t* input,
                                  const int8_t* weights, const int32_t* bias, int8_t* output);

#endif  // OAQ_CORE_REFERENCE_H_
