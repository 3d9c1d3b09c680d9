// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_RECODE_H_
#define OAQ_TFLITE_RECODE_H_

#include "core/code_table.h"
#include "tflite/abi.h"
#include "tflite/op.h"
#include "tflite/ranges.h"
#include "tflite/tensors.h"

// One QUANTIZE from an 8-bit tensor to another, or LEAKY_RELU of one, inside an interpreter. They
// have no Oaq operator: what they compute needs no proof.
typedef struct OaqRecode {
  int input_index, output_index;
  OaqRange range;  // of the input
  OaqThreads* threads;
  OaqLookUp look_up;
  OaqCodeTable table;
  // Set by oaq_recode_prepare.
  size_t size;
  OaqSplit split;
} OaqRecode;

// Whether a builtin op is one of these.
bool oaq_recodes(int32_t builtin_code);

// Checks the tensors, makes the table. `range` is the input's where it is int8. NULL on failure.
OaqRecode* oaq_recode_create(const TfLiteContext* context, const OaqGraphNode* node, OaqRange range,
                             const OaqPlanner* planner, OaqError* error);
void oaq_recode_free(OaqRecode* op);

// For the input's present shape, which is the output's too.
bool oaq_recode_prepare(OaqRecode* op, TfLiteContext* context, OaqError* error);

bool oaq_recode_eval(const OaqRecode* op, const TfLiteContext* context, OaqError* error);

// What it does to the codes, for the plan.
const char* oaq_recode_reason(const OaqRecode* op);

#endif  // OAQ_TFLITE_RECODE_H_
