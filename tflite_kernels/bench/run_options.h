// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_RUN_OPTIONS_H_
#define OAQ_BENCH_RUN_OPTIONS_H_

#include <stdbool.h>
#include <stddef.h>

enum { kMaxModes = 8 };

// One way to run a model.
typedef struct Mode {
  const char* name;
  bool ours;     // our delegate, builtin operators too
  bool xnnpack;  // XNNPACK's delegate, after ours
  bool shield;   // no delegate at all, not even those of the runtime itself
} Mode;

typedef struct RunOptions {
  const char* model;
  const char* runtime;  // the TFLite C library
  const char* library;  // ours; NULL: next to the program, else by the loader's search
  const char* input;    // raw bytes of all inputs; NULL: pseudo-random
  const char* output;   // where raw bytes of all outputs go, or NULL
  const char* json;     // where the figures go, "-" for stdout, or NULL
  const char* isa;      // of our delegate, which knows the names
  const char* plan;
  const Mode* modes[kMaxModes];
  size_t num_modes;
  int threads;
  size_t runs, warmup;
  double seconds;  // measured time after which no further run begins; 0: no limit
  bool profile, markdown, help;
} RunOptions;

// Prints what is wrong and returns false where the arguments make no sense.
bool run_options_parse(int count, char** arguments, RunOptions* options);

void run_options_print_help(void);

#endif  // OAQ_BENCH_RUN_OPTIONS_H_
