// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_PAD_OP_H_
#define OAQ_TFLITE_PAD_OP_H_

#include "core/pad.h"
#include "tflite/abi.h"
#include "tflite/ranges.h"
#include "tflite/tensors.h"

// One PAD of an 8-bit tensor by constant paddings, inside an interpreter. It sums nothing; it is
// here since what pads for a convolution of ours, the runtime can't fold into its own.
typedef struct OaqPadOp {
  int input_index, output_index;
  OaqRange range;  // of the input
  int32_t rank;
  int32_t paddings[OAQ_PAD_DIMENSIONS][2];  // of the last `rank` dimensions
  // Set by oaq_pad_op_prepare.
  OaqPad pad;
  size_t input_size, output_size;
} OaqPadOp;

// Checks the tensors. `range` is the input's where it is int8. NULL on failure.
OaqPadOp* oaq_pad_op_create(const TfLiteContext* context, const OaqGraphNode* node, OaqRange range,
                            OaqError* error);
void oaq_pad_op_free(OaqPadOp* op);

// For the input's present shape.
bool oaq_pad_op_prepare(OaqPadOp* op, TfLiteContext* context, OaqError* error);

bool oaq_pad_op_eval(const OaqPadOp* op, const TfLiteContext* context, OaqError* error);

#endif  // OAQ_TFLITE_PAD_OP_H_
