// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_COUNTING_H_
#define OAQ_TFLITE_COUNTING_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oaq/oaq_tflite.h"

// What the library for tests exports beyond the one that users load (OAQ_COUNT_OVERFLOWS).

typedef struct OaqOverflowCounts {
  int64_t drains, overflows;  // of lanes, since the delegate was created
  int64_t smallest, largest;  // true value of a lane at a drain, its start value included
} OaqOverflowCounts;

OAQ_EXPORT void oaq_overflow_counts(const TfLiteDelegate* delegate, OaqOverflowCounts* counts);

// Option `unproven`=1: no drain but the last, whatever the proof says, so that there are overflows
// to count. True where `key` is that option and `value` valid.
bool oaq_counting_option(const char* key, const char* value);
bool oaq_counting_unproven(char** keys, char** values, size_t count);

#endif  // OAQ_TFLITE_COUNTING_H_
