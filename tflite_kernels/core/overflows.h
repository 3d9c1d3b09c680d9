// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_OVERFLOWS_H_
#define OAQ_CORE_OVERFLOWS_H_

// A build with OAQ_COUNT_OVERFLOWS adds up every int16 lane once more, in 64 bits, before a kernel
// does in 16, and looks at each drain whether the true value fits: an observation that the proof
// can be held against, the same for every ISA. Other builds have nothing of it.

#ifdef OAQ_COUNT_OVERFLOWS

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define OAQ_COUNTING(...) __VA_ARGS__

// What drains have shown so far; any number of threads add to it.
typedef struct OaqOverflows {
  _Atomic(int64_t) drains, overflows;  // of lanes
  _Atomic(int64_t) smallest, largest;  // true value, start value included
} OaqOverflows;

struct OaqDrains;
struct OaqGemm;
struct OaqLayout;
struct OaqRows;

// The lanes of one call of an int16 GEMM kernel; a pair that saturates counts as an overflow.
void oaq_count_gemm(size_t rows, const struct OaqGemm* gemm, const struct OaqDrains* drains,
                    const struct OaqRows* a, const void* b);

// The same of a depthwise kernel's at one output position; `codes` are the activations, shifted, as
// [steps * per_lane][channels of a tile].
void oaq_count_depthwise(const struct OaqLayout* layout, const struct OaqDrains* drains,
                         const int16_t* codes, const int8_t* b);

#else
#define OAQ_COUNTING(...)
#endif

#endif  // OAQ_CORE_OVERFLOWS_H_
