// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_KERNELS_KERNEL_REPORT_H_
#define OAQ_BENCH_KERNELS_KERNEL_REPORT_H_

#include <stdbool.h>

#include "bench/kernels/bench_case.h"
#include "bench/machine.h"
#include "bench/statistics.h"

typedef struct KernelReport {
  Machine machine;
  const BenchCases* cases;
  const Statistics* cycles;  // of one run of each case
  Statistics ticks;          // of the time stamp counter a cycle of the core
  double ticks_per_second;
  size_t rounds;
  bool markdown;
} KernelReport;

void kernel_report_print(const KernelReport* report);

// "-" for standard output. Prints what is wrong and returns false where it can't be written.
bool kernel_report_write_json(const KernelReport* report, const char* path);

#endif  // OAQ_BENCH_KERNELS_KERNEL_REPORT_H_
