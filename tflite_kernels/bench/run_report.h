// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_RUN_REPORT_H_
#define OAQ_BENCH_RUN_REPORT_H_

#include "bench/machine.h"
#include "bench/run_options.h"
#include "bench/statistics.h"

// What was found out about one mode.
typedef struct ModeResult {
  const Mode* mode;
  double setup;         // seconds
  Statistics seconds;   // of one run
  size_t runs;          // measured
  size_t output_bytes;  // in all
  size_t differing;     // of them, from the first mode's
  char* plan;           // of our delegate, as JSON, or NULL
} ModeResult;

typedef struct RunReport {
  const RunOptions* options;
  Machine machine;
  const char* runtime_version;
  const char* library_version;  // NULL where ours was not loaded
  const ModeResult* results;
  size_t num_results;
} RunReport;

void run_report_print(const RunReport* report);

// Prints what is wrong and returns false where the file can't be written.
bool run_report_write_json(const RunReport* report, const char* path);

#endif  // OAQ_BENCH_RUN_REPORT_H_
