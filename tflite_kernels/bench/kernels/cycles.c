// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/cycles.h"

#include <immintrin.h>
#include <x86intrin.h>

enum { kChain = 16, kLoops = 256, kTries = 4 };

uint64_t ticks_now(void) {
  _mm_lfence();
  const uint64_t ticks = __rdtsc();
  _mm_lfence();
  return ticks;
}

static double chain(void) {
  uintptr_t sum = 0;
  const uintptr_t one = 1;
  const uint64_t start = ticks_now();
  for (int i = 0; i < kLoops; ++i) {
    // Of a register: some cores add small constants before execution, several a cycle.
    __asm__ volatile(
        ".rept %c2\n\t"
        "add %1, %0\n\t"
        ".endr"
        : "+r"(sum)
        : "r"(one), "i"(kChain));
  }
  return (double)(ticks_now() - start) / (kChain * kLoops);
}

// The best of some: an interrupted chain must not flatter what was timed.
double ticks_per_cycle(void) {
  double least = chain();
  for (int i = 1; i < kTries; ++i) {
    const double ticks = chain();
    if (ticks < least) least = ticks;
  }
  return least;
}
