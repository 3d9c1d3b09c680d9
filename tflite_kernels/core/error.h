// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_ERROR_H_
#define OAQ_CORE_ERROR_H_

#include <stdbool.h>

// What went wrong, for a human: what was given, what was expected, what to do.
typedef struct OaqError {
  char text[384];
} OaqError;

// Writes a printf-style message (cut to fit) and returns false, so that a check reads
// `return oaq_fail(error, ...)`. `error` may be NULL.
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
bool oaq_fail(OaqError* error, const char* format, ...);

#endif  // OAQ_CORE_ERROR_H_
