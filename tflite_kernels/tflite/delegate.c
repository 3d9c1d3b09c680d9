// SPDX-License-Identifier: Apache-2.0
// clock_gettime, where the compiler is asked for C and nothing else.
#define _POSIX_C_SOURCE 200809L

#include "tflite/delegate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tflite/pad_op.h"
#include "tflite/ranges.h"
#include "tflite/recode.h"

// The scratch of one graph, whose nodes run one after the other; another interpreter's may run at
// the same time. The last of its kernels frees it.
typedef struct SharedScratch {
  OaqScratch scratch;
  size_t users;
} SharedScratch;

// What runs a claimed node: the runtime holds it and frees it with the node. The plan entry belongs
// to the delegate, which outlives the interpreter.
typedef struct Kernel {
  // One of them.
  OaqOp* op;          // a layer
  OaqRecode* recode;  // QUANTIZE or LEAKY_RELU
  OaqPadOp* pad;      // PAD
  OaqPlanEntry* entry;
  const OaqDelegate* delegate;
  SharedScratch* scratch;
  // What the node was before. A builtin op goes back to it for shapes that ours does not take.
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void* user_data;
  bool builtin;
  bool given_back;  // for the present shapes
} Kernel;

static void leave_scratch(SharedScratch* shared) {
  if (shared == NULL || --shared->users > 0) return;
  oaq_scratch_free(&shared->scratch);
  free(shared);
}

static void free_ours(Kernel* kernel) {
  oaq_op_free(kernel->op);
  oaq_recode_free(kernel->recode);
  oaq_pad_op_free(kernel->pad);
}

static void kernel_free(TfLiteContext* context, void* buffer) {
  Kernel* kernel = buffer;
  if (kernel == NULL) return;
  if (kernel->free != NULL && kernel->user_data != NULL) kernel->free(context, kernel->user_data);
  free_ours(kernel);
  leave_scratch(kernel->scratch);
  free(kernel);
}

static bool prepare_ours(const Kernel* kernel, TfLiteContext* context, OaqError* error) {
  if (kernel->op != NULL) return oaq_op_prepare(kernel->op, context, error);
  if (kernel->recode != NULL) return oaq_recode_prepare(kernel->recode, context, error);
  return oaq_pad_op_prepare(kernel->pad, context, error);
}

static bool eval_ours(const Kernel* kernel, TfLiteContext* context, OaqError* error) {
  if (kernel->op != NULL) return oaq_op_eval(kernel->op, context, error);
  if (kernel->recode != NULL) return oaq_recode_eval(kernel->recode, context, error);
  return oaq_pad_op_eval(kernel->pad, context, error);
}

static TfLiteStatus report(TfLiteContext* context, const OaqPlanEntry* entry,
                           const OaqError* error) {
  context->ReportError(context, "oaq: node %d, %s '%s': %s", entry->node, entry->kind,
                       entry->name != NULL ? entry->name : "", error->text);
  return kTfLiteError;
}

// A function of what the node was before sees the data that belonged to it.
static TfLiteStatus call_original(TfLiteStatus (*function)(TfLiteContext*, TfLiteNode*),
                                  TfLiteContext* context, TfLiteNode* node) {
  Kernel* kernel = node->user_data;
  node->user_data = kernel->user_data;
  const TfLiteStatus status = function(context, node);
  node->user_data = kernel;
  return status;
}

static uint64_t nanoseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static TfLiteStatus kernel_invoke(TfLiteContext* context, TfLiteNode* node) {
  Kernel* kernel = node->user_data;
  if (kernel->given_back) return call_original(kernel->invoke, context, node);
  OaqPlanEntry* entry = kernel->entry;
  OaqError error;
  const uint64_t start = entry->profiled ? nanoseconds_now() : 0;
  if (!eval_ours(kernel, context, &error)) return report(context, entry, &error);
  if (entry->profiled) {
    entry->nanoseconds += nanoseconds_now() - start;
    ++entry->invocations;
  }
  return kTfLiteOk;
}

static char* copy_string(const char* text) {
  const size_t size = strlen(text) + 1;
  char* copy = malloc(size);
  if (copy != NULL) memcpy(copy, text, size);
  return copy;
}

// Runtimes apply a delegate to one subgraph after the other.
static int subgraph_of(const OaqDelegate* delegate, const void* graph) {
  int next = 0;
  for (const OaqPlanEntry* entry = delegate->first_entry; entry != NULL; entry = entry->next) {
    if (entry->graph == graph) return entry->subgraph;
    next = entry->subgraph + 1 > next ? entry->subgraph + 1 : next;
  }
  return next;
}

static OaqPlanEntry* add_entry(OaqDelegate* delegate, const TfLiteContext* context,
                               const OaqGraphNode* node) {
  OaqPlanEntry* entry = calloc(1, sizeof(*entry));
  if (entry == NULL) return NULL;
  entry->graph = context->impl_;
  entry->subgraph = subgraph_of(delegate, context->impl_);
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

static void fill_layer(const OaqPlanner* planner, const OaqOp* op, OaqPlanEntry* entry) {
  bool has_int16 = false;
  entry->isa = planner->kernels->isa;
  entry->layout = oaq_op_layout(op, &has_int16);
  entry->summary = *oaq_op_summary(op);
  entry->range = op->range;
  entry->checked = op->check_range;
  entry->macs = op->macs;
  entry->weights_bytes = op->weights_size;
  oaq_plan_reason(planner->policy, has_int16, &entry->summary, entry->reason,
                  sizeof(entry->reason));
}

static void fill_entry(const Kernel* kernel) {
  OaqPlanEntry* entry = kernel->entry;
  entry->claimed = true;
  entry->profiled = kernel->delegate->profile;
  entry->runs = kernel->recode != NULL ? "table" : kernel->pad != NULL ? "copy" : NULL;
  if (kernel->op != NULL) {
    fill_layer(&kernel->delegate->planner, kernel->op, entry);
    const OaqScratchUse* use = oaq_op_scratch(kernel->op);
    entry->packed_bytes = sizeof(*kernel) + oaq_op_bytes(kernel->op);
    entry->scratch_bytes = oaq_scratch_block_bytes(use->size) * use->workers;
    entry->workers = use->workers;
  } else if (kernel->pad != NULL) {
    entry->packed_bytes = sizeof(*kernel) + sizeof(*kernel->pad);
    entry->workers = 1;
    entry->range = kernel->pad->range;
    snprintf(entry->reason, sizeof(entry->reason), "codes copied, the zero point around them");
  } else {
    entry->packed_bytes = sizeof(*kernel) + sizeof(*kernel->recode);
    entry->workers = kernel->recode->split.workers;
    entry->range = kernel->recode->range;
    snprintf(entry->reason, sizeof(entry->reason), "%s", oaq_recode_reason(kernel->recode));
  }
}

static void leave_entry(OaqPlanEntry* entry, const OaqError* error) {
  entry->claimed = false;
  entry->workers = 0;
  // A cut message is still a message.
  const size_t length = strlen(error->text);
  memcpy(entry->reason, error->text, length + 1);
  static const char kLeft[] = ": left to the runtime";
  if (length + sizeof(kLeft) <= sizeof(entry->reason)) {
    memcpy(entry->reason + length, kLeft, sizeof(kLeft));
  }
}

static TfLiteStatus kernel_prepare(TfLiteContext* context, TfLiteNode* node) {
  Kernel* kernel = node->user_data;
  OaqError error;
  kernel->given_back = !prepare_ours(kernel, context, &error);
  if (!kernel->given_back) {
    fill_entry(kernel);
    return kTfLiteOk;
  }
  if (!kernel->builtin) return report(context, kernel->entry, &error);
  leave_entry(kernel->entry, &error);
  return call_original(kernel->prepare, context, node);
}

// Makes what runs a node, for `kernel`; false with a reason in `error` where the runtime keeps the
// node. `among_ours`: the graph has Oaq operators, between which the runtime, or another delegate,
// would have to be called for every table and PAD.
static bool claim(const OaqDelegate* delegate, const TfLiteContext* context,
                  const OaqGraphNode* node, OaqRange range, bool among_ours, Kernel* kernel,
                  OaqError* error) {
  bool custom = false;
  const bool recodes = oaq_recodes(node->builtin_code);
  const bool pads = node->builtin_code == kBuiltinPad;
  const bool sums = oaq_node_kind(node, &custom) != OAQ_KIND_NONE;
  if (!recodes && !pads && !sums) return oaq_fail(error, "not an op of this library");
  if (!custom && !delegate->builtin && (sums || !among_ours)) {
    return oaq_fail(error, "builtin op; the delegate looks at it with builtin=1");
  }
  if (pads) {
    kernel->pad = oaq_pad_op_create(context, node, range, error);
    return kernel->pad != NULL;
  }
  if (recodes) {
    kernel->recode = oaq_recode_create(context, node, range, &delegate->planner, error);
    return kernel->recode != NULL;
  }
  OaqOptions options;
  if (!oaq_node_options(node, &options, error)) return false;
  OaqPlanner planner = delegate->planner;
  planner.scratch = &kernel->scratch->scratch;
  kernel->op = oaq_op_create(context, node->node->inputs, node->node->outputs, &options, range,
                             false, &planner, error);
  return kernel->op != NULL;
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
                              const OaqGraphNode* node, OaqRange range, bool among_ours,
                              SharedScratch* scratch, Kernel** kernel) {
  *kernel = NULL;
  if (is_claimed(node)) {
    ((const Kernel*)node->node->user_data)->entry->outdated = false;
    return kTfLiteOk;
  }
  OaqPlanEntry* entry = add_entry(delegate, context, node);
  if (entry == NULL) return out_of_memory(context);
  OaqError error = {""};
  Kernel ours = {.entry = entry,
                 .delegate = delegate,
                 .scratch = scratch,
                 .builtin = node->builtin_code != kBuiltinCustom};
  if (!claim(delegate, context, node, range, among_ours, &ours, &error)) {
    bool custom = false;
    if (oaq_node_kind(node, &custom) != OAQ_KIND_NONE && custom) {
      return report(context, entry, &error);
    }
    leave_entry(entry, &error);
    return kTfLiteOk;
  }
  *kernel = malloc(sizeof(**kernel));
  if (*kernel == NULL) {
    free_ours(&ours);
    return out_of_memory(context);
  }
  **kernel = ours;
  ++scratch->users;
  fill_entry(*kernel);
  return kTfLiteOk;
}

// Puts our functions into the node's own registration, and leaves the node where it is.
// ReplaceNodeSubsetsWithDelegateKernels would let the runtime move other nodes before it: LiteRT
// 2.3 then runs an elementwise op, in place, on memory that a later op is still to read. Fields
// that not every runtime has are left as they are.
static void take_over(const OaqGraphNode* node, Kernel* kernel) {
  TfLiteRegistration* registration = node->registration;
  kernel->free = registration->free;
  kernel->prepare = registration->prepare;
  kernel->invoke = registration->invoke;
  kernel->user_data = node->node->user_data;
  kernel->builtin = kernel->builtin && kernel->prepare != NULL && kernel->invoke != NULL;
  node->node->user_data = kernel;
  registration->init = NULL;
  registration->free = kernel_free;
  registration->prepare = kernel_prepare;
  registration->invoke = kernel_invoke;
  registration->profiling_string = NULL;
  // Other delegates go by it: they are not to claim the node as well.
  registration->builtin_code = kBuiltinCustom;
  registration->custom_name = kernel->op != NULL    ? oaq_kind_custom_name(kernel->op->options.kind)
                              : kernel->pad != NULL ? "OaqPad"
                                                    : "OaqRecode";
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

static bool has_custom(const OaqGraphNode* nodes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    bool custom = false;
    if (oaq_node_kind(&nodes[i], &custom) != OAQ_KIND_NONE && custom) return true;
  }
  return false;
}

// The graph's, which nodes that were claimed before have; NULL where memory is out. The caller is
// one of its users.
static SharedScratch* find_scratch(const OaqGraphNode* nodes, size_t count) {
  SharedScratch* found = NULL;
  for (size_t i = 0; found == NULL && i < count; ++i) {
    if (is_claimed(&nodes[i])) found = ((const Kernel*)nodes[i].node->user_data)->scratch;
  }
  if (found == NULL) found = calloc(1, sizeof(*found));
  if (found != NULL) ++found->users;
  return found;
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
  SharedScratch* scratch = nodes != NULL ? find_scratch(nodes, count) : NULL;
  const bool among_ours = nodes != NULL && has_custom(nodes, count);
  TfLiteStatus status = kTfLiteOk;
  if (kernels == NULL || ranges == NULL || scratch == NULL) {
    context->ReportError(context, "oaq: can't read the graph, or out of memory");
    status = kTfLiteError;
  }
  for (size_t i = 0; status == kTfLiteOk && i < count; ++i) {
    status = plan_node(delegate, context, &nodes[i], ranges[i], among_ours, scratch, &kernels[i]);
  }
  // All nodes or none: after an error the runtime may go on with the graph as it was.
  for (size_t i = 0; kernels != NULL && i < count; ++i) {
    if (kernels[i] == NULL) continue;
    if (status == kTfLiteOk) {
      take_over(&nodes[i], kernels[i]);
    } else {
      kernel_free(context, kernels[i]);
    }
  }
  leave_scratch(scratch);
  free(ranges);
  free(kernels);
  free(nodes);
  return status;
}
