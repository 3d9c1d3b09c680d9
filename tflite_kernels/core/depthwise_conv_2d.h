// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_DEPTHWISE_CONV_2D_H_
#define OAQ_CORE_DEPTHWISE_CONV_2D_H_

#include "core/depthwise_order.h"
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

// What a worker's block holds: rows of the input, copied for one tile, that consecutive output rows
// share.
typedef struct OaqDepthwiseScratch {
  char* rows;          // [height.filter][row_size]
  int64_t* held;       // [height.filter]: which row of the image each of them is, or -1
  const void** under;  // [height.filter]: rows under the filter, copied or of padding
  const void** taps;   // [taps, padded to whole steps]
  int16_t* codes;      // [the same][channels of a tile] where the op gathers
} OaqDepthwiseScratch;

typedef struct OaqDepthwiseConv2d {
  OaqDepthwiseConv2dParams
      params;  // requantize's arrays are the caller's, and gone once the op is made
  const OaqKernels* kernels;
  const OaqDepthwiseFilter* filter;  // kernels for this very filter, or NULL
  OaqThreads* threads;
  OaqPacked packed;
  OaqOutputStage stage;
  OaqPlanSummary summary;
  OaqTap* order;    // [taps]: as packed
  bool any_codes;   // OaqPlanner's
  int8_t* padding;  // [input_channels or a tile's, if more] times the zero point's code
  OaqScratchUse use;
  // Set by oaq_depthwise_conv_2d_reshape. An output row is cut into segments of columns.
  int32_t batch, input_height, input_width, output_height, output_width, pad_top, pad_left;
  size_t segments, segment_columns;
  size_t row_columns, row_size;  // of a copied row, in pixels and in bytes
  bool scattered;                // rows would be too long to copy
  size_t held_offset, under_offset, taps_offset, codes_offset;  // in a block, behind the rows
  void* padding_memory;
  size_t padding_bytes;
  char *padding_row, *wide_padding_row;  // copied rows of nothing but padding, in padding_memory
  OaqSplit split;                        // segments of all images
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

// What the op has allocated, without its scratch.
size_t oaq_depthwise_conv_2d_bytes(const OaqDepthwiseConv2d* op);

// any_codes: the exact path throughout, for an input whose codes may leave input_range; the op has
// to be made for it (OaqPlanner).
void oaq_depthwise_conv_2d_run(OaqDepthwiseConv2d* op, const int8_t* input, bool any_codes,
                               int8_t* output);

#endif  // OAQ_CORE_DEPTHWISE_CONV_2D_H_
