// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_TRANSPOSE_CONV_H_
#define OAQ_CORE_TRANSPOSE_CONV_H_

#include "core/conv_2d.h"

// TRANSPOSE_CONV: input [batch][height][width][input_channels] int8, weights OHWI
// [output_channels][height.filter][width.filter][input_channels] int8 with zero point 0, bias
// [output_channels] int32 or NULL, output [batch][output_height][output_width][output_channels]
// int8. Input position y adds its products with filter row f to output row y * stride - padding
// + f, so output rows that are equal modulo the stride meet the same filter rows: the op is
// stride.height * stride.width convolutions with parts of the filter, its phases. Where that takes
// fewer multiplications of whole tiles, as with few output channels, it runs as one convolution
// that gives a block of all phases' outputs.
typedef struct OaqTransposeConvParams {
  OaqWindow height, width;  // dilation 1; the windows slide over the output
  int32_t output_height, output_width;
  size_t input_channels, output_channels;
  int32_t input_zero_point;
  OaqRange input_range;  // holds the zero point
  OaqRequantize requantize;
} OaqTransposeConvParams;

typedef struct OaqTransposeConv {
  OaqTransposeConvParams
      params;        // requantize's arrays are the caller's, and gone once the op is made
  OaqConv2d* convs;  // [num_convs]: of all phases, or of each that has taps
  size_t num_convs;
  int8_t* empty;      // [output_channels]: outputs that no product reaches; NULL without
  OaqScratchUse use;  // of the largest convolution
  OaqPlanSummary summary;
  int32_t batch;  // set by oaq_transpose_conv_reshape
} OaqTransposeConv;

// Plans and packs; `weights` and `bias` are not needed afterwards. On failure nothing is left to
// free.
bool oaq_transpose_conv_create(const OaqTransposeConvParams* params, const int8_t* weights,
                               const void* bias, const OaqPlanner* planner, OaqTransposeConv* op,
                               OaqError* error);
void oaq_transpose_conv_free(OaqTransposeConv* op);

// Sets the input's shape.
bool oaq_transpose_conv_reshape(OaqTransposeConv* op, int32_t batch, int32_t height, int32_t width,
                                OaqError* error);

// What the op has allocated, without its scratch.
size_t oaq_transpose_conv_bytes(const OaqTransposeConv* op);

// any_codes: the exact path throughout, for an input whose codes may leave input_range; the op has
// to be made for it (OaqPlanner).
void oaq_transpose_conv_run(OaqTransposeConv* op, const int8_t* input, bool any_codes,
                            int8_t* output);

#endif  // OAQ_CORE_TRANSPOSE_CONV_H_
