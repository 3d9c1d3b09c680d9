// SPDX-License-Identifier: Apache-2.0
// Times the micro-kernels of every ISA that this CPU has, and what they are compared with, in turns
// round by round: docs/benchmarks.md. On x86; on other machines it lists nothing so far.
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/fail.h"
#include "bench/kernels/kernel_report.h"
#include "bench/machine.h"
#include "bench/statistics.h"
#ifdef OAQ_X86
#include "bench/kernels/cycles.h"
#endif

enum { kFault = 2 };

const char fail_program[] = "oaq_bench_kernels";

typedef struct Options {
  const char* json;
  const char* only;
  size_t rounds;
  bool markdown, help;
} Options;

static void print_help(void) {
  fputs(
      "usage: oaq_bench_kernels [options]\n"
      "Times the micro-kernels of every ISA of this CPU, next to the limit of its vector ports "
      "and\n"
      "to kernels that widen each code before they multiply.\n"
      "\n"
      "  --only TEXT    kernels whose name has TEXT in it, and what they are compared with\n"
      "  --rounds N     measure each of them N times, in turns (200)\n"
      "  --json FILE    write the figures as JSON, - for standard output\n"
      "  --markdown     print them as Markdown tables\n",
      stdout);
}

static bool parse_rounds(const char* text, size_t* rounds) {
  char* end = NULL;
  errno = 0;
  *rounds = strtoul(text, &end, 10);
  if (text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && *rounds >= 1 &&
      *rounds <= 100000) {
    return true;
  }
  return fail("--rounds is '%s', expected a whole number from 1 to 100000", text);
}

static bool parse(int count, char** arguments, Options* options) {
  *options = (Options){.rounds = 200};
  for (int i = 1; i < count; ++i) {
    const char* name = arguments[i];
    if (strcmp(name, "--markdown") == 0) {
      options->markdown = true;
      continue;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
      options->help = true;
      continue;
    }
    const char** text = strcmp(name, "--json") == 0   ? &options->json
                        : strcmp(name, "--only") == 0 ? &options->only
                                                      : NULL;
    if (text == NULL && strcmp(name, "--rounds") != 0) {
      return fail("unknown argument '%s'; --help lists them", name);
    }
    if (i + 1 == count) return fail("%s wants a value", name);
    ++i;
    if (text != NULL) *text = arguments[i];
    if (text == NULL && !parse_rounds(arguments[i], &options->rounds)) return false;
  }
  return true;
}

#ifdef OAQ_X86

// Of a sample: long against what reading the time takes, short against a time slice.
enum { kSampleTicks = 60000, kMaxRepeats = 4096 };

static void add_all(BenchCases* cases) {
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels == NULL) continue;
    bench_add_gemm_baseline(cases, kernels->isa);
    bench_add_depthwise_baseline(cases, kernels->isa);
    // The portable kernels are the specification, not made for speed.
    if (strcmp(kernels->isa, "scalar") != 0) {
      bench_add_gemm(cases, kernels);
      bench_add_depthwise(cases, kernels);
    }
    bench_add_output(cases, kernels);
  }
}

static bool is_wanted(const BenchCases* all, const BenchCase* item, const char* only) {
  if (only == NULL || strstr(item->name, only) != NULL) return true;
  for (size_t i = 0; i < all->count; ++i) {
    if (strcmp(all->items[i].baseline, item->name) == 0 &&
        strstr(all->items[i].name, only) != NULL) {
      return true;
    }
  }
  return false;
}

static BenchCases choose(const BenchCases* all, const char* only) {
  BenchCases chosen = {0};
  for (size_t i = 0; i < all->count; ++i) {
    if (is_wanted(all, &all->items[i], only)) *bench_cases_add(&chosen) = all->items[i];
  }
  return chosen;
}

static double sample(const BenchCase* item, size_t repeats) {
  const uint64_t start = ticks_now();
  for (size_t i = 0; i < repeats; ++i) item->run(item->data);
  return (double)(ticks_now() - start) / (double)repeats;
}

static bool check(const BenchCases* cases) {
  for (size_t i = 0; i < cases->count; ++i) {
    const BenchCase* item = &cases->items[i];
    item->run(item->data);
    if (!item->is_right(item->data)) return fail("%s: wrong sums", item->name);
  }
  return true;
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double* allocate(size_t count) { return bench_alloc(count * sizeof(double)); }

// In turns.
static void measure(const BenchCases* cases, size_t rounds, Statistics* cycles,
                    Statistics* clocks) {
  double* each = allocate(cases->count * rounds);
  double* all_clocks = allocate(cases->count * rounds);
  size_t* repeats = bench_alloc(cases->count * sizeof(*repeats));
  for (size_t i = 0; i < cases->count; ++i) {
    sample(&cases->items[i], 8);
    const double once = sample(&cases->items[i], 8);
    repeats[i] = (size_t)(kSampleTicks / once) + 1;
    if (repeats[i] > kMaxRepeats) repeats[i] = kMaxRepeats;
  }
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < cases->count; ++i) {
      sample(&cases->items[i], 2);  // fills caches and predictors, and switches wide registers on
      const double before = ticks_per_cycle();
      const double ticks = sample(&cases->items[i], repeats[i]);
      const double after = ticks_per_cycle();
      const double clock = before < after ? before : after;
      each[i * rounds + round] = ticks / clock;
      all_clocks[i * rounds + round] = clock;
    }
  }
  for (size_t i = 0; i < cases->count; ++i) {
    cycles[i] = statistics_of(each + i * rounds, rounds);
  }
  *clocks = statistics_of(all_clocks, cases->count * rounds);
}

static bool run(const Options* options) {
  BenchCases all = {0};
  add_all(&all);
  const BenchCases cases = choose(&all, options->only);
  if (cases.count == 0) return fail("--only '%s' names no kernel of this CPU", options->only);
  if (!check(&cases)) return false;
  Statistics* cycles = bench_alloc(cases.count * sizeof(*cycles));
  KernelReport report = {.machine = machine_read(),
                         .cases = &cases,
                         .cycles = cycles,
                         .rounds = options->rounds,
                         .markdown = options->markdown};
  const double start = seconds_now();
  const uint64_t first = ticks_now();
  measure(&cases, options->rounds, cycles, &report.ticks);
  report.ticks_per_second = (double)(ticks_now() - first) / (seconds_now() - start);
  // JSON for a script goes alone to where it is asked for.
  if (options->json == NULL || strcmp(options->json, "-") != 0) kernel_report_print(&report);
  return options->json == NULL || kernel_report_write_json(&report, options->json);
}

#else

static bool run(const Options* options) {
  const BenchCases none = {0};
  const KernelReport report = {.machine = machine_read(), .cases = &none};
  if (options->json == NULL || strcmp(options->json, "-") != 0) {
    puts("No kernels of this machine are measured yet: those of x86 are.");
  }
  return options->json == NULL || kernel_report_write_json(&report, options->json);
}

#endif

int main(int count, char** arguments) {
  Options options;
  if (!parse(count, arguments, &options)) return kFault;
  if (options.help) {
    print_help();
    return 0;
  }
  return run(&options) ? 0 : kFault;
}
