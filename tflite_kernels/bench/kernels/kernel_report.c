// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_report.h"

#include <stdio.h>
#include <string.h>

#include "bench/fail.h"
#include "bench/kernels/cost_fit.h"

// Work a cycle, by the medians or the best rounds.
static double speed(const KernelReport* report, size_t index, bool best) {
  const Statistics* cycles = &report->cycles[index];
  return report->cases->items[index].work / (best ? cycles->least : cycles->median);
}

// How many times the speed of its baseline a case has; 0 where there is none.
static double ratio(const KernelReport* report, size_t index, bool best) {
  const BenchCase* item = &report->cases->items[index];
  for (size_t i = 0; item->baseline[0] != 0 && i < report->cases->count; ++i) {
    if (strcmp(report->cases->items[i].name, item->baseline) == 0) {
      return speed(report, index, best) / speed(report, i, best);
    }
  }
  return 0;
}

static double clock_of(const KernelReport* report) {
  return report->ticks_per_second / report->ticks.median;
}

static const char kAssumptions[] =
    "Limits: three vector operations of 128 or 256 bits a cycle, two of them multiplications, two\n"
    "of 512 bits (bench/kernels/limit.h); loads, stores and the front end are taken to keep up.\n";

static void print_facts(const KernelReport* report) {
  const double slow = report->ticks_per_second / report->ticks.upper_quartile;
  const double fast = report->ticks_per_second / report->ticks.lower_quartile;
  printf("%s%s: medians and best of %zu interleaved rounds, one thread, data in L1.\n",
         report->markdown ? "" : "CPU ", report->machine.cpu, report->rounds);
  printf("Cycles: time stamps, scaled by a chain of dependent additions before and after:\n");
  printf("%.2f GHz (quartiles %.2f to %.2f).\n", clock_of(report) * 1e-9, slow * 1e-9, fast * 1e-9);
  fputs(kAssumptions, stdout);
  fputs("\n", stdout);
}

static void print_row(const KernelReport* report, size_t index) {
  const BenchCase* item = &report->cases->items[index];
  char limit[32] = "", share[32] = "", ratios[64] = "";
  if (item->limit > 0) {
    snprintf(limit, sizeof(limit), "%.2f", item->limit);
    snprintf(share, sizeof(share), "%.0f%%", 100 * speed(report, index, true) / item->limit);
  }
  if (ratio(report, index, false) > 0) {
    snprintf(ratios, sizeof(ratios), "%.2fx (%.2fx)", ratio(report, index, false),
             ratio(report, index, true));
  }
  printf(report->markdown ? "| %s | %.2f | %.2f | %s | %s | %s |\n"
                          : "%-45s  %7.2f  %7.2f  %7s  %5s  %s\n",
         item->name, speed(report, index, false), speed(report, index, true), limit, share, ratios);
}

static void print_costs(const KernelReport* report) {
  bool begun = false;
  for (size_t i = 0; i < report->cases->count; ++i) {
    CostFit fit;
    if (!cost_fit(report->cases, report->cycles, i, &fit)) continue;
    if (!begun) {
      fputs("Cost tables (OaqCost), in cycles, of the best rounds:\n\n", stdout);
      fputs(report->markdown ? "| kernels | int16 step | int16 drain | exact step |\n"
                               "|---|---:|---:|---:|\n"
                             : "kernels                    int16 step  int16 drain  exact step\n",
            stdout);
      begun = true;
    }
    printf(report->markdown ? "| %s | %.2f | %.2f | %.2f |\n" : "%-25s  %10.2f  %11.2f  %10.2f\n",
           fit.table, fit.int16_step, fit.int16_drain, fit.exact_step);
  }
}

static void print_table(const KernelReport* report, const char* unit) {
  const BenchCases* cases = report->cases;
  bool begun = false;
  for (size_t i = 0; i < cases->count; ++i) {
    if (strcmp(cases->items[i].unit, unit) != 0) continue;
    if (!begun && report->markdown) {
      printf("| kernel, %s/cycle | median | best | limit | best / limit | to baseline (best) |\n",
             unit);
      fputs("|---|---:|---:|---:|---:|---|\n", stdout);
    } else if (!begun) {
      printf("%-4s %-40s  %7s  %7s  %7s  %5s  %s\n", unit, "a cycle", "median", "best", "limit",
             "share", "to baseline (best)");
    }
    begun = true;
    print_row(report, i);
  }
  if (begun) fputs("\n", stdout);
}

void kernel_report_print(const KernelReport* report) {
  print_facts(report);
  print_table(report, "MAC");
  print_table(report, "code");
  print_costs(report);
}

static void write_case(FILE* file, const KernelReport* report, size_t index) {
  const BenchCase* item = &report->cases->items[index];
  fprintf(file,
          "    {\"name\": \"%s\", \"unit\": \"%s\", \"median\": %.6g, \"best\": %.6g, \"limit\": "
          "%.6g, \"cycles\": %.6g,\n     \"baseline\": \"%s\", \"ratio\": %.6g, \"ratio_best\": "
          "%.6g}",
          item->name, item->unit, speed(report, index, false), speed(report, index, true),
          item->limit, report->cycles[index].median, item->baseline, ratio(report, index, false),
          ratio(report, index, true));
}

static void write_costs(FILE* file, const KernelReport* report) {
  const char* separator = "";
  for (size_t i = 0; i < report->cases->count; ++i) {
    CostFit fit;
    if (!cost_fit(report->cases, report->cycles, i, &fit)) continue;
    fprintf(file,
            "%s\n    {\"kernels\": \"%s\", \"int16_step\": %.6g, \"int16_drain\": %.6g, "
            "\"exact_step\": %.6g}",
            separator, fit.table, fit.int16_step, fit.int16_drain, fit.exact_step);
    separator = ",";
  }
}

bool kernel_report_write_json(const KernelReport* report, const char* path) {
  const bool to_stdout = strcmp(path, "-") == 0;
  FILE* file = to_stdout ? stdout : fopen(path, "w");
  if (file == NULL) return fail("--json '%s' can't be written", path);
  fputs("{\n  \"cpu\": \"", file);
  for (const char* c = report->machine.cpu; *c != 0; ++c) {
    if (*c != '"' && *c != '\\' && *c >= 0x20 && *c <= 0x7E) fputc(*c, file);
  }
  fprintf(file, "\",\n  \"rounds\": %zu,\n  \"clock_hz\": %.6g,\n  \"kernels\": [", report->rounds,
          report->cases->count > 0 ? clock_of(report) : 0.0);
  for (size_t i = 0; i < report->cases->count; ++i) {
    fputs(i > 0 ? ",\n" : "\n", file);
    write_case(file, report, i);
  }
  fputs("\n  ],\n  \"costs\": [", file);
  write_costs(file, report);
  fputs("\n  ]\n}\n", file);
  const bool written = ferror(file) == 0 && (to_stdout ? fflush(file) : fclose(file)) == 0;
  return written || fail("--json '%s' could not be written to the end", path);
}
