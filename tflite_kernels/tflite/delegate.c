// SPDX-License-Identifier: Apache-2.0
#include "tflite/delegate.h"

#include <stdlib.h>
#include <string.h>

#include "tflite/ranges.h"

// The kernel that replaces one node: the runtime holds it, the plan entry belongs to the delegate,
// which outlives the interpreter.
typedef struct Kernel {
  OaqOp* op;
  OaqPlanEntry* entry;
} Kernel;

static void* kernel_init(TfLiteContext* context, const char* buffer, size_t length) {
  (void)context;
  (void)length;
  const TfLiteDelegateParams* params = (const void*)buffer;
  OaqDelegate* delegate = params->delegate->data_;
  Kernel* kernel = malloc(sizeof(*kernel));
  if (kernel == NULL) return NULL;
  *kernel = (Kernel){delegate->pending_op, delegate->pending_entry};
  delegate->pending_op = NULL;
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
  if (kernel == NULL || kernel->op == NULL) {
    context->ReportError(context, "oaq: out of memory");
    return kTfLiteError;
  }
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
  entry->layout =
      op->options.kind == OAQ_DEPTHWISE_CONV_2D ? kernels->depthwise_layout : kernels->gemm_layout;
  entry->summary = *oaq_op_summary(op);
  entry->range = op->range;
  entry->checked = op->check_range;
  oaq_plan_reason(delegate->planner.policy, &entry->summary, entry->reason, sizeof(entry->reason));
}

// The op for a node, NULL with a reason in `error` where the runtime keeps the node.
static OaqOp* claim(const OaqDelegate* delegate, const TfLiteContext* context,
                    const OaqGraphNode* node, const OaqInputRanges* found, size_t position,
                    OaqError* error) {
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
  if (!custom && found->read_early >= 0) {
    oaq_fail(error, "the graph reads tensor %d before it is written, and claiming would reorder it",
             found->read_early);
    return NULL;
  }
  if (!oaq_node_options(node, &options, error)) return NULL;
  return oaq_op_create(context, node->node->inputs, node->node->outputs, &options,
                       found->ranges[position], false, &delegate->planner, error);
}

// Hands a node over to a kernel; the op is the kernel's or freed afterwards.
static TfLiteStatus replace(OaqDelegate* delegate, TfLiteContext* context, const OaqGraphNode* node,
                            OaqOp* op, OaqPlanEntry* entry) {
  struct {
    int size;
    int data[1];
  } nodes = {1, {node->index}};
  const TfLiteRegistration registration = {.init = kernel_init,
                                           .free = kernel_free,
                                           .prepare = kernel_prepare,
                                           .invoke = kernel_invoke,
                                           .builtin_code = kBuiltinDelegate,
                                           .custom_name = "OaqDelegate",
                                           .version = 1};
  delegate->pending_op = op;
  delegate->pending_entry = entry;
  const TfLiteStatus status = context->ReplaceNodeSubsetsWithDelegateKernels(
      context, registration, (const TfLiteIntArray*)(const void*)&nodes, &delegate->base);
  oaq_op_free(delegate->pending_op);
  delegate->pending_op = NULL;
  return status;
}

static TfLiteStatus delegate_node(OaqDelegate* delegate, TfLiteContext* context,
                                  const OaqGraphNode* node, const OaqInputRanges* found,
                                  size_t position) {
  OaqPlanEntry* entry = add_entry(delegate, context, node);
  OaqError error = {""};
  if (entry == NULL) {
    context->ReportError(context, "oaq: out of memory");
    return kTfLiteError;
  }
  OaqOp* op = claim(delegate, context, node, found, position, &error);
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
  return replace(delegate, context, node, op, entry);
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
    TfLiteRegistration* registration = NULL;
    if (context->GetNodeAndRegistration(context, nodes[i].index, &node, &registration) !=
        kTfLiteOk) {
      free(nodes);
      return NULL;
    }
    nodes[i].node = node;
    nodes[i].builtin_code = registration->builtin_code;
    nodes[i].version = registration->version;
    nodes[i].custom_name = registration->custom_name;
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
  OaqInputRanges found = {NULL, -1};
  TfLiteStatus status = kTfLiteOk;
  if (nodes == NULL || !oaq_find_input_ranges(context, nodes, count, &found)) {
    context->ReportError(context, "oaq: can't read the graph, or out of memory");
    status = kTfLiteError;
  }
  for (size_t i = 0; status == kTfLiteOk && i < count; ++i) {
    // Replacing a node moves the runtime's nodes: ask for the pointer again.
    TfLiteNode* node = NULL;
    TfLiteRegistration* registration = NULL;
    status = context->GetNodeAndRegistration(context, nodes[i].index, &node, &registration);
    if (status != kTfLiteOk) break;
    nodes[i].node = node;
    status = delegate_node(delegate, context, &nodes[i], &found, i);
  }
  free(found.ranges);
  free(nodes);
  return status;
}
