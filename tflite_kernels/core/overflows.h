// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_OVERFLOWS_H_
#define OAQ_CORE_OVERFLOWS_H_

// In a build with OAQ_COUNT_OVERFLOWS the int16 kernels carry every lane's true sum in 64 bits next
// to the lane, and compare the two at each drain: an observation that the proof can be held
// against. Other builds have nothing of it.

#ifdef OAQ_COUNT_OVERFLOWS

#include <stdatomic.h>
#include <stdint.h>

#define OAQ_COUNTING(...) __VA_ARGS__

// What drains have shown so far; any number of threads add to it.
typedef struct OaqOverflows {
  _Atomic(int64_t) drains, overflows;  // of lanes
  _Atomic(int64_t) smallest, largest;  // true value, start value included
} OaqOverflows;

// The same of one call of a kernel.
typedef struct OaqTally {
  int64_t drains, overflows, smallest, largest;
} OaqTally;

// A lane that holds `lane` is drained; `value` is what it would hold had it all the bits it wants.
static inline void oaq_tally_drain(OaqTally* tally, int64_t value, int16_t lane) {
  ++tally->drains;
  if (value != lane) ++tally->overflows;
  if (value < tally->smallest) tally->smallest = value;
  if (value > tally->largest) tally->largest = value;
}

// `overflows` may be NULL.
void oaq_overflows_add(OaqOverflows* overflows, const OaqTally* tally);

#else
#define OAQ_COUNTING(...)
#endif

#endif  // OAQ_CORE_OVERFLOWS_H_
