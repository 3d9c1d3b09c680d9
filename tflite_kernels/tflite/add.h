// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_ADD_H_
#define OAQ_TFLITE_ADD_H_

#include "core/add.h"
#include "tflite/abi.h"
#include "tflite/tensors.h"

// One ADD of two int8 tensors of one shape, inside an interpreter. It has no Oaq operator: what it
// computes needs no proof.
typedef struct OaqAddNode {
  int input_indices[2], output_index;
  OaqAdd core;
  // Set by oaq_add_node_prepare.
  size_t size;
  OaqSplit split;
} OaqAddNode;

// Checks the tensors. NULL on failure.
OaqAddNode* oaq_add_node_create(const TfLiteContext* context, const TfLiteNode* node,
                                const OaqKernels* kernels, OaqThreads* threads, OaqError* error);
void oaq_add_node_free(OaqAddNode* node);

// For the inputs' present shape, which is the output's too.
bool oaq_add_node_prepare(OaqAddNode* node, TfLiteContext* context, OaqError* error);

bool oaq_add_node_eval(const OaqAddNode* node, const TfLiteContext* context, OaqError* error);

// What it keeps, in bytes.
size_t oaq_add_node_bytes(const OaqAddNode* node);

#endif  // OAQ_TFLITE_ADD_H_
