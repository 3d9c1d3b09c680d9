// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_INLINE_H_
#define OAQ_CORE_INLINE_H_

// What is to be compiled with the constants that it is called with, and what by itself.
#define OAQ_INLINE static inline __attribute__((always_inline))
#define OAQ_NOINLINE static __attribute__((noinline))

#endif  // OAQ_CORE_INLINE_H_
