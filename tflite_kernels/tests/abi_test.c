// SPDX-License-Identifier: Apache-2.0
#include "tflite/abi.h"

#include <stdio.h>
#include <string.h>

#include "abi_fields.h"

// Compares the layout of tflite/abi.h, and its constants, with those of official headers, compiled
// in abi_official.c.
static const Field kOwn[] = {ABI_FIELDS};
static const Value kOwnValues[] = {ABI_VALUES};

int main(void) {
  int differences = 0;
  for (size_t i = 0; i < sizeof(kOwn) / sizeof(kOwn[0]); ++i) {
    const Field* official = &abi_official_fields[i];
    if (kOwn[i].offset == official->offset && kOwn[i].size == official->size) continue;
    fprintf(stderr, "%s: offset %zu, size %zu; official %zu, %zu\n", kOwn[i].name, kOwn[i].offset,
            kOwn[i].size, official->offset, official->size);
    ++differences;
  }
  for (size_t i = 0; i < sizeof(kOwnValues) / sizeof(kOwnValues[0]); ++i) {
    if (kOwnValues[i].value == abi_official_values[i].value) continue;
    fprintf(stderr, "%s: %d; official %d\n", kOwnValues[i].name, kOwnValues[i].value,
            abi_official_values[i].value);
    ++differences;
  }
  // Structs that we create may be longer than an old runtime's, never shorter than a new one's.
  if (sizeof(TfLiteRegistration) < abi_official_registration_size ||
      sizeof(TfLiteDelegate) < abi_official_delegate_size) {
    fprintf(stderr, "TfLiteRegistration %zu, official %zu; TfLiteDelegate %zu, official %zu\n",
            sizeof(TfLiteRegistration), abi_official_registration_size, sizeof(TfLiteDelegate),
            abi_official_delegate_size);
    ++differences;
  }
  return differences != 0;
}
