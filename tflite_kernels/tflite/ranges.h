// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_RANGES_H_
#define OAQ_TFLITE_RANGES_H_

#include "core/bound.h"
#include "core/error.h"
#include "tflite/abi.h"
#include "tflite/builtin_ops.h"
#include "tflite/options.h"

// Activation ranges as facts: [lo, hi] of a tensor follows from what the op that writes it
// enforces (docs/format.md, Ranges). Anything unknown is [-128, 127].

static const OaqRange oaq_unknown_range = {INT8_MIN, INT8_MAX};

// One node of the graph, in execution order.
typedef struct OaqGraphNode {
  int index;
  TfLiteNode* node;
  TfLiteRegistration* registration;
  int32_t builtin_code;
  int version;              // of the op, as the runtime has it
  const char* custom_name;  // of BuiltinOperator_CUSTOM
} OaqGraphNode;

// Options of one of our kinds of op, builtin or custom, from the node. False where the node is of
// another kind or its options are not usable.
bool oaq_node_options(const OaqGraphNode* node, OaqOptions* options, OaqError* error);

// The kind of the node, and whether it is the custom op.
OaqKind oaq_node_kind(const OaqGraphNode* node, bool* custom);

// ranges[count]: of the activations that each node reads; for the caller to free. NULL where memory
// is out.
OaqRange* oaq_find_input_ranges(const TfLiteContext* context, const OaqGraphNode* nodes,
                                size_t count);

#endif  // OAQ_TFLITE_RANGES_H_
