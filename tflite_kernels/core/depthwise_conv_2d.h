// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_DEPTHWISE_CONV_2D_H_
#define OAQ_CORE_DEPTHWISE_CONV_2D_H_

#include "core/pack.h"
#include "core/requantize.h"
#include "core/split.h"
#include "core/window.h"

// DEPTHWISE_CONV_2D: input [batch][height][width][input_channels] int8, weights
// [1][height.filter][width.filter][output_channels] int8 with zero point 0, bias [output_channels]
// int32 or NULL, output [batch][oh][ow][output_channels] int8; output channel c reads input channel
// c / depth_multiplier.
typedef struct OaqDepthwiseConv2dParams {
  OaqWindow height, width;
  size_t input_channels, depth_multiplier;
  int32_t input_zero_point;
  OaqRange input_range;  // holds the zero point where `height` or `width` pads
  OaqRequantize requantize;
} OaqDepthwiseConv2dParams;

// Scratch of one worker.
typedef struct OaqDepthwiseScratch {
  const int8_t** taps;         // [taps]: the input's channels under each tap of one output position
  const int8_t** copied_taps;  // [taps]: the rows of `copied`
  int8_t* copied;              // [taps][OAQ_DEPTHWISE_CHANNELS]: a tile that can't be read in place
} OaqDepthwiseScratch;

typedef struct OaqDepthwiseConv2d {
  OaqDepthwiseConv2dParams params;  // requantize.channels is owned by the caller
  const OaqKernels* kernels;
  OaqThreads* threads;
  OaqPacked packed;
  OaqPlanSummary summary;
  int8_t* padding;               // [input_channels] times the zero point's code
  OaqDepthwiseScratch* scratch;  // [num_scratch]
  size_t num_scratch;
  // Set by oaq_depthwise_conv_2d_reshape.
  int32_t batch, input_height, input_width, output_height, output_width, pad_top, pad_left;
  OaqSplit split;  // rows of all images
} OaqDepthwiseConv2d;

// Plans and packs; `weights` and `bias` are not needed afterwards. On failure nothing is left to
// free.
bool oaq_depthwise_conv_2d_create(const OaqDepthwiseConv2dParams* params, const int8_t* weights,
                                  const void* bias, const OaqPlanner* planner,
                                  OaqDepthwiseConv2d* op, OaqError* error);
void oaq_depthwise_conv_2d_free(OaqDepthwiseConv2d* op);

// Sets the input's shape; gives output_height and output_width.
bool oaq_depthwise_conv_2d_reshape(OaqDepthwiseConv2d* op, int32_t batch, int32_t height,
                                   int32_t width, OaqError* error);

// any_codes: the exact path throughout, for an input whose codes may leave input_range.
void oaq_depthwise_conv_2d_run(OaqDepthwiseConv2d* op, const int8_t* input, bool any_codes,
                               int8_t* output);

#endif  // OAQ_CORE_DEPTHWISE_CONV_2D_H_
