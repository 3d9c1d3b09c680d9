// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_QUANTIZE_H_
#define OAQ_TFLITE_QUANTIZE_H_

#include "core/code_table.h"
#include "tflite/abi.h"
#include "tflite/tensors.h"

// One QUANTIZE from an 8-bit tensor to another, inside an interpreter. It has no Oaq operator: what
// it computes needs no proof.
typedef struct OaqQuantize {
  int input_index, output_index;
  OaqRange range;  // of the input
  OaqThreads* threads;
  OaqCodeTable table;
  // Set by oaq_quantize_prepare.
  size_t size;
  OaqSplit split;
} OaqQuantize;

// Checks the tensors, makes the table. `range` is the input's where it is int8. NULL on failure.
OaqQuantize* oaq_quantize_create(const TfLiteContext* context, const TfLiteNode* node,
                                 OaqRange range, OaqThreads* threads, OaqError* error);
void oaq_quantize_free(OaqQuantize* op);

// For the input's present shape, which is the output's too.
bool oaq_quantize_prepare(OaqQuantize* op, TfLiteContext* context, OaqError* error);

bool oaq_quantize_eval(const OaqQuantize* op, const TfLiteContext* context, OaqError* error);

// What it does to the codes, for the plan.
const char* oaq_quantize_reason(const OaqQuantize* op);

#endif  // OAQ_TFLITE_QUANTIZE_H_
