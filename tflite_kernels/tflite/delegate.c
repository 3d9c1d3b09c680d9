// SPDX-License-Identifier: Apache-2.0
#include "tflite/delegate.h"

#include <stdlib.h>
#include <string.h>

#include "tflite/ranges.h"

// What runs a claimed node: the runtime holds it and frees it with the node. The plan entry belongs
// to the delegate, which outlives the interpreter.
typedef struct Kernel {
  OaqOp* op;
  OaqPlanEntry* entry;
} Kernel;

static Kernel* kernel_create(OaqOp* op, OaqPlanEntry* entry) {
  Kernel* kernel = malloc(sizeof(*kernel));
  if (kernel != NULL) *kernel = (Kernel){op, entry};
  return kernel;
}

static void kernel_free(TfLiteContext* context, void* buffer) {
  (void)context;
  Kernel* kernel = buffer;
  if (kernel != NULL) oaq_op_free(kernel->op);
  free(kernel);
}

static TfLiteStatus report(TfLiteContext* context, const OaqPlanEntry* entry,
                           const OaqError* error) {
  context->ReportError(context, "oaq: node %d, %s '%s': %s", entry->node, entry->kind,
                       entry->name != NULL ? entry->name : "", error->text);
  return kTfLiteError;
}

static TfLiteStatus kernel_prepare(TfLiteContext* context, TfLiteNode* node) {
  Kernel* kernel = node->user_data;
  OaqError error;
  if (!oaq_op_prepare(kernel->op, context, &error)) return report(context, kernel->entry, &error);
  kernel->entry->macs = kernel->op->macs;
  return kTfLiteOk;
}

static TfLiteStatus kernel_invoke(TfLiteContext* context, TfLiteNode* node) {
  Kernel* kernel = node->user_data;
  OaqError error;
  return oaq_op_eval(kernel->op, context, &error) ? kTfLiteOk
                                                  : report(context, kernel->entry, &error);
}

static char* copy_string(const char* text) {
  const size_t size = strlen(text) + 1;
  char* copy = malloc(size);
  if (copy != NULL) memcpy(copy, text, size);
  return copy;
}

static OaqPlanEntry* add_entry(OaqDelegate* delegate, const TfLiteContext* context,
                               const OaqGraphNode* node) {
  OaqPlanEntry* entry = calloc(1, sizeof(*entry));
  if (entry == NULL) return NULL;
  entry->graph = context->impl_;
  entry->node = node->index;
  if (node->builtin_code == kBuiltinCustom && node->custom_name != NULL) {
    strncpy(entry->custom_kind, node->custom_name, sizeof(entry->custom_kind) - 1);
    entry->kind = entry->custom_kind;
  } else {
    entry->kind = oaq_builtin_name(node->builtin_code);
  }
  const TfLiteIntArray* outputs = node->node->outputs;
  const TfLiteTensor* output = outputs->size > 0 ? oaq_tensor_at(context, outputs->data[0]) : NULL;
  entry->name = copy_string(output != NULL ? oaq_tensor_name(output) : "");
  if (delegate->last_entry != NULL) {
    delegate->last_entry->next = entry;
  } else {
    delegate->first_entry = entry;
  }
  delegate->last_entry = entry;
  return entry;
}

static void fill_entry(const OaqDelegate* delegate, const OaqOp* op, OaqPlanEntry* entry) {
  const OaqKernels* kernels = delegate->planner.kernels;
  entry->claimed = true;
  entry->isa = kernels->isa;
  const bool depthwise = op->options.kind == OAQ_DEPTHWISE_CONV_2D;
  entry->layout = depthwise ? kernels->depthwise->layout : kernels->gemm.layout;
  entry->summary = *oaq_op_summary(op);
  entry->range = op->range;
  entry->checked = op->check_range;
  oaq_plan_reason(delegate->planner.policy, depthwise || kernels->gemm.i16 != NULL, &entry->summary,
                  entry->reason, sizeof(entry->reason));
}

// The op for a node, NULL with a reason in `error` where the runtime keeps the node.
static OaqOp* claim(const OaqDelegate* delegate, const TfLiteContext* context,
                    const OaqGraphNode* node, OaqRange range, OaqError* error) {
  bool custom = false;
  OaqOptions options;
  if (oaq_node_kind(node, &custom) == OAQ_KIND_NONE) {
    oaq_fail(error, "not an op of this library");
    return NULL;
  }
  if (!custom && !delegate->builtin) {
    oaq_fail(error, "builtin op; builtin=1 claims it");
    return NULL;
  }
  if (!oaq_node_options(node, &options, error)) return NULL;
  return oaq_op_create(context, node->node->inputs, node->node->outputs, &options, range, false,
                       &delegate->planner, error);
}

static TfLiteStatus out_of_memory(TfLiteContext* context) {
  context->ReportError(context, "oaq: out of memory");
  return kTfLiteError;
}

// A second visit, when the runtime applies its delegates anew: claimed nodes stay so.
static bool is_claimed(const OaqGraphNode* node) {
  return node->registration->invoke == kernel_invoke;
}

// Plans a node without touching it; `*kernel` is NULL where the runtime keeps it.
static TfLiteStatus plan_node(OaqDelegate* delegate, TfLiteContext* context,
                              const OaqGraphNode* node, OaqRange range, Kernel** kernel) {
  *kernel = NULL;
  if (is_claimed(node)) {
    ((const Kernel*)node->node->user_data)->entry->outdated = false;
    return kTfLiteOk;
  }
  OaqPlanEntry* entry = add_entry(delegate, context, node);
  if (entry == NULL) return out_of_memory(context);
  OaqError error = {""};
  OaqOp* op = claim(delegate, context, node, range, &error);
  if (op == NULL) {
    bool custom = false;
    const bool ours = oaq_node_kind(node, &custom) != OAQ_KIND_NONE && custom;
    if (ours) return report(context, entry, &error);
    // A cut message is still a message.
    const size_t length = strlen(error.text);
    memcpy(entry->reason, error.text, length + 1);
    static const char kLeft[] = ": left to the runtime";
    if (length + sizeof(kLeft) <= sizeof(entry->reason)) {
      memcpy(entry->reason + length, kLeft, sizeof(kLeft));
    }
    return kTfLiteOk;
  }
  fill_entry(delegate, op, entry);
  *kernel = kernel_create(op, entry);
  if (*kernel != NULL) return kTfLiteOk;
  oaq_op_free(op);
  return out_of_memory(context);
}

// Puts our functions into the node's own registration, and leaves the node where it is.
// ReplaceNodeSubsetsWithDelegateKernels would let the runtime move other nodes before it: LiteRT
// 2.3 then runs an elementwise op, in place, on memory that a later op is still to read. Fields
// that not every runtime has are left as they are.
static void take_over(TfLiteContext* context, const OaqGraphNode* node, Kernel* kernel) {
  TfLiteRegistration* registration = node->registration;
  if (registration->free != NULL && node->node->user_data != NULL) {
    registration->free(context, node->node->user_data);
  }
  node->node->user_data = kernel;
  registration->init = NULL;
  registration->free = kernel_free;
  registration->prepare = kernel_prepare;
  registration->invoke = kernel_invoke;
  registration->profiling_string = NULL;
  // Other delegates go by it: they are not to claim the node as well.
  registration->builtin_code = kBuiltinCustom;
  registration->custom_name = oaq_kind_custom_name(kernel->op->options.kind);
  registration->version = 1;
}

// The graph's nodes in execution order; a copy, because the runtime reuses its list.
static OaqGraphNode* list_nodes(TfLiteContext* context, size_t* count) {
  TfLiteIntArray* plan = NULL;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return NULL;
  *count = plan->size > 0 ? (size_t)plan->size : 0;
  OaqGraphNode* nodes = calloc(*count + 1, sizeof(*nodes));
  if (nodes == NULL) return NULL;
  for (size_t i = 0; i < *count; ++i) nodes[i].index = plan->data[i];
  for (size_t i = 0; i < *count; ++i) {
    TfLiteNode* node = NULL;
    if (context->GetNodeAndRegistration(context, nodes[i].index, &node, &nodes[i].registration) !=
        kTfLiteOk) {
      free(nodes);
      return NULL;
    }
    nodes[i].node = node;
    nodes[i].builtin_code = nodes[i].registration->builtin_code;
    nodes[i].version = nodes[i].registration->version;
    nodes[i].custom_name = nodes[i].registration->custom_name;
  }
  return nodes;
}

TfLiteStatus oaq_delegate_prepare(TfLiteContext* context, TfLiteDelegate* base) {
  OaqDelegate* delegate = base->data_;
  for (OaqPlanEntry* entry = delegate->first_entry; entry != NULL; entry = entry->next) {
    entry->outdated = entry->outdated || entry->graph == context->impl_;
  }
  size_t count = 0;
  OaqGraphNode* nodes = list_nodes(context, &count);
  Kernel** kernels = calloc(count + 1, sizeof(*kernels));
  OaqRange* ranges = nodes != NULL ? oaq_find_input_ranges(context, nodes, count) : NULL;
  TfLiteStatus status = kTfLiteOk;
  if (kernels == NULL || ranges == NULL) {
    context->ReportError(context, "oaq: can't read the graph, or out of memory");
    status = kTfLiteError;
  }
  for (size_t i = 0; status == kTfLiteOk && i < count; ++i) {
    status = plan_node(delegate, context, &nodes[i], ranges[i], &kernels[i]);
  }
  // All nodes or none: after an error the runtime may go on with the graph as it was.
  for (size_t i = 0; kernels != NULL && i < count; ++i) {
    if (kernels[i] == NULL) continue;
    if (status == kTfLiteOk) {
      take_over(context, &nodes[i], kernels[i]);
    } else {
      kernel_free(context, kernels[i]);
    }
  }
  free(ranges);
  free(kernels);
  free(nodes);
  return status;
}
