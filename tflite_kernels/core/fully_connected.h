// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_FULLY_CONNECTED_H_
#define OAQ_CORE_FULLY_CONNECTED_H_

#include "core/gemm.h"
#include "core/split.h"

// FULLY_CONNECTED: input [batch][products] int8, weights [channels][products] int8 with zero point
// 0, bias [channels] int32 or NULL, output [batch][channels] int8.
typedef struct OaqFullyConnectedParams {
  size_t products, channels;
  int32_t input_zero_point;
  OaqRange input_range;
  OaqRequantize requantize;
} OaqFullyConnectedParams;

typedef struct OaqFullyConnected {
  OaqFullyConnectedParams
      params;  // requantize's arrays are the caller's, and gone once the op is made
  const OaqGemm* gemm;
  OaqOutput output;
  OaqThreads* threads;
  OaqPacked packed;
  OaqOutputStage stage;
  OaqPanels panels;
  OaqScratchUse use;
  OaqPlanSummary summary;
  OaqSplit split;  // set by oaq_fully_connected_reshape
} OaqFullyConnected;

// Plans and packs; `weights` and `bias` are not needed afterwards. On failure nothing is left to
// free.
bool oaq_fully_connected_create(const OaqFullyConnectedParams* params, const int8_t* weights,
                                const void* bias, const OaqPlanner* planner, OaqFullyConnected* op,
                                OaqError* error);
void oaq_fully_connected_free(OaqFullyConnected* op);

bool oaq_fully_connected_reshape(OaqFullyConnected* op, size_t batch, OaqError* error);

// What the op has allocated, without its scratch.
size_t oaq_fully_connected_bytes(const OaqFullyConnected* op);

// any_codes: the exact path throughout, for an input whose codes may leave input_range; the op has
// to be made for it (OaqPlanner).
void oaq_fully_connected_run(OaqFullyConnected* op, const int8_t* input, bool any_codes,
                             int8_t* output);

#endif  // OAQ_CORE_FULLY_CONNECTED_H_
