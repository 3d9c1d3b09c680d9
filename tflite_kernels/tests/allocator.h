// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TESTS_ALLOCATOR_H_
#define OAQ_TESTS_ALLOCATOR_H_

#include <stddef.h>

// The allocator as the program's objects see it: the linker (--wrap) puts this in between, which
// counts the bytes that were asked for and can run out of memory when told.

// Held right now.
size_t allocator_bytes(void);

// The most that was held since the last call of allocator_watch.
void allocator_watch(void);
size_t allocator_peak(void);

// `allocations` more succeed, then one fails, and all are good again. Negative: none fails.
void allocator_fail_after(int allocations);

// Whether it is still to fail.
int allocator_is_to_fail(void);

#endif  // OAQ_TESTS_ALLOCATOR_H_
