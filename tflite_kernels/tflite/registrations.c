// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "oaq/oaq_tflite.h"
#include "tflite/op.h"

// Ops added to a resolver. They don't see the graph, so the claimed range of the input is checked
// at every invocation.

typedef struct State {
  OaqOptions options;
  bool valid;      // `options` was read
  OaqError error;  // why not; there is no way to report it before prepare
  OaqOp* op;       // created at the first prepare
  OaqScratch scratch;
} State;

static void* init(OaqKind kind, const char* buffer, size_t length) {
  State* state = calloc(1, sizeof(*state));
  if (state != NULL) {
    state->valid = oaq_options_read(kind, buffer, length, &state->options, &state->error);
    state->options.kind = kind;
  }
  return state;
}

static void* init_conv_2d(TfLiteContext* context, const char* buffer, size_t length) {
  (void)context;
  return init(OAQ_CONV_2D, buffer, length);
}

static void* init_depthwise_conv_2d(TfLiteContext* context, const char* buffer, size_t length) {
  (void)context;
  return init(OAQ_DEPTHWISE_CONV_2D, buffer, length);
}

static void* init_fully_connected(TfLiteContext* context, const char* buffer, size_t length) {
  (void)context;
  return init(OAQ_FULLY_CONNECTED, buffer, length);
}

static void* init_transpose_conv(TfLiteContext* context, const char* buffer, size_t length) {
  (void)context;
  return init(OAQ_TRANSPOSE_CONV, buffer, length);
}

static void free_state(TfLiteContext* context, void* buffer) {
  (void)context;
  State* state = buffer;
  if (state == NULL) return;
  oaq_op_free(state->op);
  oaq_scratch_free(&state->scratch);
  free(state);
}

static TfLiteStatus report(TfLiteContext* context, const State* state, const OaqError* error) {
  context->ReportError(context, "%s: %s", oaq_kind_custom_name(state->options.kind), error->text);
  return kTfLiteError;
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node) {
  State* state = node->user_data;
  if (state == NULL) {
    context->ReportError(context, "oaq: out of memory");
    return kTfLiteError;
  }
  if (!state->valid) return report(context, state, &state->error);
  OaqError error;
  if (state->op == NULL) {
    const OaqPlanner planner = {
        .policy = OAQ_POLICY_AUTO, .kernels = oaq_kernels_find("auto"), .scratch = &state->scratch};
    const OaqRange claim = {state->options.input_lo, state->options.input_hi};
    state->op = oaq_op_create(context, node->inputs, node->outputs, &state->options, claim, true,
                              &planner, &error);
    if (state->op == NULL) return report(context, state, &error);
  }
  return oaq_op_prepare(state->op, context, &error) ? kTfLiteOk : report(context, state, &error);
}

static TfLiteStatus invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = node->user_data;
  OaqError error;
  return oaq_op_eval(state->op, context, &error) ? kTfLiteOk : report(context, state, &error);
}

const TfLiteRegistration* oaq_register_conv_2d(void) {
  static const TfLiteRegistration registration = {.init = init_conv_2d,
                                                  .free = free_state,
                                                  .prepare = prepare,
                                                  .invoke = invoke,
                                                  .custom_name = "OaqConv2D",
                                                  .version = 1};
  return &registration;
}

const TfLiteRegistration* oaq_register_depthwise_conv_2d(void) {
  static const TfLiteRegistration registration = {.init = init_depthwise_conv_2d,
                                                  .free = free_state,
                                                  .prepare = prepare,
                                                  .invoke = invoke,
                                                  .custom_name = "OaqDepthwiseConv2D",
                                                  .version = 1};
  return &registration;
}

const TfLiteRegistration* oaq_register_fully_connected(void) {
  static const TfLiteRegistration registration = {.init = init_fully_connected,
                                                  .free = free_state,
                                                  .prepare = prepare,
                                                  .invoke = invoke,
                                                  .custom_name = "OaqFullyConnected",
                                                  .version = 1};
  return &registration;
}

const TfLiteRegistration* oaq_register_transpose_conv(void) {
  static const TfLiteRegistration registration = {.init = init_transpose_conv,
                                                  .free = free_state,
                                                  .prepare = prepare,
                                                  .invoke = invoke,
                                                  .custom_name = "OaqTransposeConv",
                                                  .version = 1};
  return &registration;
}
