// SPDX-License-Identifier: Apache-2.0
#include "tflite/counting.h"

#include <string.h>

#include "tflite/delegate.h"

void oaq_overflow_counts(const TfLiteDelegate* base, OaqOverflowCounts* counts) {
  OaqDelegate* delegate = base->data_;
  counts->drains = atomic_load(&delegate->overflows.drains);
  counts->overflows = atomic_load(&delegate->overflows.overflows);
  counts->smallest = atomic_load(&delegate->overflows.smallest);
  counts->largest = atomic_load(&delegate->overflows.largest);
}

bool oaq_counting_option(const char* key, const char* value) {
  return strcmp(key, "unproven") == 0 && (strcmp(value, "0") == 0 || strcmp(value, "1") == 0);
}

bool oaq_counting_unproven(char** keys, char** values, size_t count) {
  bool unproven = false;
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(keys[i], "unproven") == 0) unproven = strcmp(values[i], "1") == 0;
  }
  return unproven;
}
