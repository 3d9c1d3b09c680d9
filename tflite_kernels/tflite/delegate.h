// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_DELEGATE_H_
#define OAQ_TFLITE_DELEGATE_H_

#include "oaq/oaq_tflite.h"
#include "tflite/abi.h"
#include "tflite/plan_json.h"

// What a TfLiteDelegate of ours points at.
typedef struct OaqDelegate {
  TfLiteDelegate base;
  bool builtin, profile;
  OaqPlanner planner;  // owns planner.threads; scratch is one for each graph
#ifdef OAQ_COUNT_OVERFLOWS
  OaqOverflows overflows;
#endif
  OaqPlanEntry* first_entry;
  OaqPlanEntry* last_entry;
} OaqDelegate;

// kTfLiteError where an Oaq op can't be run; builtin ops that can't are left to the runtime.
TfLiteStatus oaq_delegate_prepare(TfLiteContext* context, TfLiteDelegate* delegate);

// Parses options as text.
bool oaq_delegate_options_parse(char** keys, char** values, size_t count,
                                OaqDelegateOptions* options, OaqError* error);

#endif  // OAQ_TFLITE_DELEGATE_H_
