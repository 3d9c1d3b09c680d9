// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_FAIL_H_
#define OAQ_BENCH_FAIL_H_

#include <stdbool.h>

// What messages begin with: each program defines its own.
extern const char fail_program[];

// Prints the program's name and a printf-style message to stderr, and returns false, so that a
// check reads `return fail(...)`.
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
bool fail(const char* format, ...);

#endif  // OAQ_BENCH_FAIL_H_
