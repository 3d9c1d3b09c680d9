// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_CONV_2D_H_
#define OAQ_CORE_CONV_2D_H_

#include "core/gemm.h"
#include "core/image_lines.h"
#include "core/placement.h"
#include "core/split.h"
#include "core/window.h"

// CONV_2D: input [batch][height][width][input_channels] int8, weights OHWI
// [output_channels][height.filter][width.filter][input_channels / groups] int8 with zero point 0,
// bias [output_channels] int32 or NULL, output [batch][oh][ow][output_channels] int8.
typedef struct OaqConv2dParams {
  OaqWindow height, width;
  size_t input_channels, output_channels, groups;  // groups divides both
  int32_t input_zero_point;
  OaqRange input_range;  // holds the zero point where `height` or `width` pads
  OaqRequantize requantize;
  OaqPlacement placement;  // without channels: the windows' own, [batch][oh][ow][output_channels]
} OaqConv2dParams;

// How outputs meet the input.
typedef enum OaqConvPath {
  OAQ_CONV_POINTWISE,  // pixel by pixel: rows of the input are rows of the product
  OAQ_CONV_LINES,      // lines of the image are copied, padded; rows are pieces of them
  OAQ_CONV_GATHER,     // rows are gathered tap by tap
} OaqConvPath;

typedef struct OaqConv2d {
  OaqConv2dParams params;  // requantize's arrays are the caller's, and gone once the op is made
  const OaqGemm* gemm;
  OaqOutput output;
  OaqThreads* threads;
  OaqConvPath best_path;  // where the shape allows it
  OaqPacked* groups;      // [params.groups]
  OaqOutputStage stage;
  OaqPanels panels;
  OaqImageLines lines;    // of OAQ_CONV_LINES
  size_t outputs_offset;  // of outputs that are placed, in a worker's block
  OaqScratchUse use;
  OaqPlanSummary summary;
  // Set by oaq_conv_2d_reshape.
  OaqConvPath path;
  int32_t batch, input_height, input_width, output_height, output_width, pad_top, pad_left;
  OaqSplit split;  // rows of all images, or lines of outputs; tiles of all groups
} OaqConv2d;

// Plans and packs; `weights` and `bias` are not needed afterwards. On failure nothing is left to
// free.
bool oaq_conv_2d_create(const OaqConv2dParams* params, const int8_t* weights, const void* bias,
                        const OaqPlanner* planner, OaqConv2d* op, OaqError* error);
void oaq_conv_2d_free(OaqConv2d* op);

// Sets the input's shape; gives output_height and output_width.
bool oaq_conv_2d_reshape(OaqConv2d* op, int32_t batch, int32_t height, int32_t width,
                         OaqError* error);

// What the op has allocated, without its scratch.
size_t oaq_conv_2d_bytes(const OaqConv2d* op);

// any_codes: the exact path throughout, for an input whose codes may leave input_range; the op has
// to be made for it (OaqPlanner).
void oaq_conv_2d_run(OaqConv2d* op, const int8_t* input, bool any_codes, int8_t* output);

#endif  // OAQ_CORE_CONV_2D_H_
