// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflite/counting.h"
#include "tflite/delegate.h"

#ifndef OAQ_VERSION
#define OAQ_VERSION "0.1.0"
#endif

static const char* const kPlans[] = {"auto", "int16", "exact"};

const char* oaq_version(void) { return OAQ_VERSION; }

OaqDelegateOptions oaq_delegate_options_default(void) {
  return (OaqDelegateOptions){
      .builtin = 0, .isa = "auto", .plan = OAQ_PLAN_AUTO, .num_threads = 1, .profile = 0};
}

static bool parse_threads(const char* text, int* threads) {
  const size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 4 || text[digits] != 0) return false;
  *threads = atoi(text);
  return *threads >= 1;
}

static bool parse_switch(const char* key, const char* value, int* on, OaqError* error) {
  *on = strcmp(value, "1") == 0;
  if (*on || strcmp(value, "0") == 0) return true;
  return oaq_fail(error, "option %s is '%.40s', expected 0 or 1", key, value);
}

static bool parse_plan(const char* text, OaqPlanMode* plan) {
  for (int i = 0; i < 3; ++i) {
    if (strcmp(text, kPlans[i]) != 0) continue;
    *plan = (OaqPlanMode)i;
    return true;
  }
  return false;
}

static bool refuse_isa(const char* value, OaqError* error) {
  char names[128] = "auto";
  for (size_t i = 0, length = strlen(names); i < oaq_num_isas && length < sizeof(names); ++i) {
    if (oaq_kernels_find(oaq_isas[i]) == NULL) continue;
    const int added = snprintf(names + length, sizeof(names) - length, ", %s", oaq_isas[i]);
    length += added > 0 ? (size_t)added : 0;
  }
  return oaq_fail(error, "option isa is '%.40s', expected what this CPU and build have: %s", value,
                  names);
}

static bool parse_option(const char* key, const char* value, OaqDelegateOptions* options,
                         OaqError* error) {
  if (strcmp(key, "builtin") == 0) return parse_switch(key, value, &options->builtin, error);
  if (strcmp(key, "profile") == 0) return parse_switch(key, value, &options->profile, error);
  if (strcmp(key, "isa") == 0) {
    options->isa = value;
    if (oaq_kernels_find(value) != NULL) return true;
    return refuse_isa(value, error);
  }
  if (strcmp(key, "plan") == 0) {
    if (parse_plan(value, &options->plan)) return true;
    return oaq_fail(error, "option plan is '%.40s', expected auto, int16 or exact", value);
  }
  if (strcmp(key, "num_threads") == 0) {
    if (parse_threads(value, &options->num_threads)) return true;
    return oaq_fail(error, "option num_threads is '%.40s', expected 1 to 9999", value);
  }
  OAQ_COUNTING(if (oaq_counting_option(key, value)) return true;)
  return oaq_fail(
      error, "unknown option '%.40s', expected builtin, isa, plan, num_threads or profile", key);
}

bool oaq_delegate_options_parse(char** keys, char** values, size_t count,
                                OaqDelegateOptions* options, OaqError* error) {
  *options = oaq_delegate_options_default();
  if (count > 0 && (keys == NULL || values == NULL)) {
    return oaq_fail(error, "%zu options without their text", count);
  }
  for (size_t i = 0; i < count; ++i) {
    if (keys[i] == NULL || values[i] == NULL) return oaq_fail(error, "option %zu has no text", i);
    if (!parse_option(keys[i], values[i], options, error)) return false;
  }
  return true;
}

TfLiteDelegate* oaq_delegate_create(const OaqDelegateOptions* options) {
  const OaqDelegateOptions defaults = oaq_delegate_options_default();
  if (options == NULL) options = &defaults;
  const OaqKernels* kernels = options->isa != NULL ? oaq_kernels_find(options->isa) : NULL;
  const bool valid = kernels != NULL && (options->builtin == 0 || options->builtin == 1) &&
                     options->plan >= OAQ_PLAN_AUTO && options->plan <= OAQ_PLAN_EXACT &&
                     options->num_threads >= 1 && (options->profile == 0 || options->profile == 1);
  OaqDelegate* delegate = valid ? calloc(1, sizeof(*delegate)) : NULL;
  if (delegate == NULL) return NULL;
  OaqThreads* threads = oaq_threads_create((size_t)options->num_threads, kernels->part_macs);
  if (threads == NULL) {
    free(delegate);
    return NULL;
  }
  static const OaqPolicy kPolicies[] = {OAQ_POLICY_AUTO, OAQ_POLICY_INT16, OAQ_POLICY_EXACT};
  delegate->base.data_ = delegate;
  delegate->base.Prepare = oaq_delegate_prepare;
  delegate->base.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  delegate->builtin = options->builtin != 0;
  delegate->profile = options->profile != 0;
  delegate->planner =
      (OaqPlanner){.policy = kPolicies[options->plan], .kernels = kernels, .threads = threads};
  OAQ_COUNTING(delegate->planner.overflows = &delegate->overflows;)
  return &delegate->base;
}

void oaq_delegate_destroy(TfLiteDelegate* base) {
  if (base == NULL) return;
  OaqDelegate* delegate = base->data_;
  OaqPlanEntry* entry = delegate->first_entry;
  while (entry != NULL) {
    OaqPlanEntry* next = entry->next;
    free(entry->name);
    free(entry);
    entry = next;
  }
  oaq_threads_destroy(delegate->planner.threads);
  free(delegate);
}

size_t oaq_delegate_plan_json(const TfLiteDelegate* delegate, char* buffer, size_t size) {
  const OaqDelegate* own = delegate != NULL ? delegate->data_ : NULL;
  return oaq_plan_json(own != NULL ? own->first_entry : NULL, buffer, size);
}

TfLiteDelegate* tflite_plugin_create_delegate(char** options_keys, char** options_values,
                                              size_t num_options,
                                              void (*report_error)(const char*)) {
  OaqDelegateOptions options;
  OaqError error = {""};
  TfLiteDelegate* delegate = NULL;
  if (oaq_delegate_options_parse(options_keys, options_values, num_options, &options, &error)) {
    delegate = oaq_delegate_create(&options);
    if (delegate == NULL) oaq_fail(&error, "out of memory for the delegate");
  }
#ifdef OAQ_COUNT_OVERFLOWS
  if (delegate != NULL) {
    ((OaqDelegate*)delegate->data_)->planner.unproven =
        oaq_counting_unproven(options_keys, options_values, num_options);
  }
#endif
  if (delegate == NULL && report_error != NULL) report_error(error.text);
  return delegate;
}

void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) { oaq_delegate_destroy(delegate); }
