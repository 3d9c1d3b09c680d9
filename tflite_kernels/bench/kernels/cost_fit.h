// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_KERNELS_COST_FIT_H_
#define OAQ_BENCH_KERNELS_COST_FIT_H_

#include <stdbool.h>
#include <stddef.h>

#include "bench/kernels/bench_case.h"
#include "bench/statistics.h"

// Entries of the kernels' cost tables (OaqCost) that fit what was measured.
typedef struct CostFit {
  const char* table;
  double int16_step, int16_drain, exact_step;  // cycles
} CostFit;

// Fits the best rounds of the table that cases->items[first] is the first case of; cycles[i] is of
// a run of case i. False where that case is in no table, or not the first.
bool cost_fit(const BenchCases* cases, const Statistics* cycles, size_t first, CostFit* fit);

#endif  // OAQ_BENCH_KERNELS_COST_FIT_H_
