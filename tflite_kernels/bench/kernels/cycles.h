// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_KERNELS_CYCLES_H_
#define OAQ_BENCH_KERNELS_CYCLES_H_

#include <stdint.h>

// Ticks of the time stamp counter, which counts at a constant rate whatever the core's clock does.
uint64_t ticks_now(void);

// How many of them a cycle of the core's clock takes just now: the time of a chain of additions, a
// cycle each, that wait for one another. A core that runs wide vectors slows down for a while, so
// ask next to what was timed.
double ticks_per_cycle(void);

#endif  // OAQ_BENCH_KERNELS_CYCLES_H_
