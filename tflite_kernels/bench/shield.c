// SPDX-License-Identifier: Apache-2.0
#include "bench/shield.h"

enum { kBuiltinCustom = 32 };

// Delegates go by the operators' codes, the runtime by the functions it has bound to them already.
static TfLiteStatus prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  (void)delegate;
  TfLiteIntArray* plan = NULL;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  for (int i = 0; i < plan->size; ++i) {
    TfLiteNode* node = NULL;
    TfLiteRegistration* registration = NULL;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &registration) !=
        kTfLiteOk) {
      return kTfLiteError;
    }
    if (registration->builtin_code == kBuiltinCustom) continue;
    registration->builtin_code = kBuiltinCustom;
    registration->custom_name = "Shielded";
  }
  return kTfLiteOk;
}

TfLiteDelegate shield_delegate(void) {
  return (TfLiteDelegate){.Prepare = prepare, .flags = kTfLiteDelegateFlagsAllowDynamicTensors};
}
