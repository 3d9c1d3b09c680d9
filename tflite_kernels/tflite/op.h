// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_OP_H_
#define OAQ_TFLITE_OP_H_

#include "core/conv_2d.h"
#include "core/depthwise_conv_2d.h"
#include "core/fully_connected.h"
#include "core/transpose_conv.h"
#include "tflite/abi.h"
#include "tflite/options.h"
#include "tflite/tensors.h"

// One op of ours inside an interpreter, made by a registration or by the delegate.
typedef struct OaqOp {
  OaqOptions options;
  int input_index, output_index;
  OaqRange range;        // of the input, with the zero point where the op pads
  int32_t output_batch;  // of TRANSPOSE_CONV, whose output's shape is constant
  bool check_range;      // range is a claim: scan the input at every invocation
  size_t weights_size;   // codes in the file
  union {
    OaqConv2d conv_2d;
    OaqDepthwiseConv2d depthwise_conv_2d;
    OaqFullyConnected fully_connected;
    OaqTransposeConv transpose_conv;
  } core;
  // Set by oaq_op_prepare.
  size_t input_size, output_size;
  uint64_t macs;
} OaqOp;

// Checks the tensors, plans, packs the weights. `range` is the input's. NULL on failure.
OaqOp* oaq_op_create(const TfLiteContext* context, const TfLiteIntArray* inputs,
                     const TfLiteIntArray* outputs, const OaqOptions* options, OaqRange range,
                     bool check_range, const OaqPlanner* planner, OaqError* error);
void oaq_op_free(OaqOp* op);

// For the input's present shape: shapes of output and scratch.
bool oaq_op_prepare(OaqOp* op, TfLiteContext* context, OaqError* error);

bool oaq_op_eval(OaqOp* op, TfLiteContext* context, OaqError* error);

const OaqPlanSummary* oaq_op_summary(const OaqOp* op);

// What the op takes, in bytes, all of its allocations but for the scratch.
size_t oaq_op_bytes(const OaqOp* op);

// Its part of the graph's scratch, for the input's present shape.
const OaqScratchUse* oaq_op_scratch(const OaqOp* op);

// The lanes' layout on the int16 path; whether the kernels have one.
const OaqLayout* oaq_op_layout(const OaqOp* op, bool* has_int16);

// The limits of the output codes: the fused activation's, then output_lo and output_hi. Shared with
// the ranges, which rest on exactly what the op enforces.
bool oaq_op_output_range(const OaqOptions* options, const TfLiteTensor* output, OaqRange* range);

#endif  // OAQ_TFLITE_OP_H_
