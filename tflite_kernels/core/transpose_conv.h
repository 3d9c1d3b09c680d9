// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_TRANSPOSE_CONV_H_
#define OAQ_CORE_TRANSPOSE_CONV_H_

#include "core/gemm.h"
#include "core/split.h"
#include "core/window.h"

// TRANSPOSE_CONV: input [batch][height][width][input_channels] int8, weights OHWI
// [output_channels][height.filter][width.filter][input_channels] int8 with zero point 0, bias
// [output_channels] int32 or NULL, output [batch][output_height][output_width][output_channels]
// int8. Input position y adds its products with filter row f to output row y * stride - padding
// + f, so output rows that are equal modulo the stride meet the same filter rows: the op is
// stride.height * stride.width convolutions with parts of the filter, its phases.
typedef struct OaqTransposeConvParams {
  OaqWindow height, width;  // dilation 1; the windows slide over the output
  int32_t output_height, output_width;
  size_t input_channels, output_channels;
  int32_t input_zero_point;
  OaqRange input_range;  // holds the zero point
  OaqRequantize requantize;
} OaqTransposeConvParams;

// Output rows first, first + stride, ... (count of them); the k-th meets filter rows phase, phase +
// stride, ... (taps of them) at input rows base + k, base + k - 1, ...
typedef struct OaqPhaseAxis {
  int32_t phase, taps, first, count, base;
} OaqPhaseAxis;

typedef struct OaqTransposePhase {
  OaqPhaseAxis height, width;
  OaqPacked packed;  // products in the order of the phase's taps: rows, columns, channels
  OaqSplit split;    // set by oaq_transpose_conv_reshape
} OaqTransposePhase;

typedef struct OaqTransposeConv {
  OaqTransposeConvParams
      params;  // requantize's arrays are the caller's, and gone once the op is made
  const OaqGemm* gemm;
  OaqOutput output;
  OaqThreads* threads;
  OaqTransposePhase* phases;  // [num_phases], of those that have taps
  size_t num_phases;
  int8_t* empty;  // [output_channels]: outputs that no product reaches; NULL without
  OaqOutputStage stage;
  OaqPanels panels;
  size_t outputs_offset;  // of a part's outputs in a worker's block
  OaqScratchUse use;
  OaqPlanSummary summary;
  // Set by oaq_transpose_conv_reshape.
  int32_t batch, input_height, input_width;
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
