// SPDX-License-Identifier: Apache-2.0
#include "bench/run_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"

// What a table's row is made of, as text or in Markdown.
typedef struct Style {
  const char *start, *between, *end;
} Style;

static Style style_of(const RunReport* report) {
  return report->options->markdown ? (Style){"| ", " | ", " |\n"} : (Style){"", "  ", "\n"};
}

static void print_fact(const RunReport* report, const char* name, const char* value) {
  const Style style = style_of(report);
  printf("%s%-10s%s%s%s", style.start, name, style.between, value, style.end);
}

static void print_facts(const RunReport* report) {
  const RunOptions* options = report->options;
  const Machine* machine = &report->machine;
  char text[256];
  if (options->markdown) fputs("| | |\n|---|---|\n", stdout);
  print_fact(report, "model", options->model);
  print_fact(report, "board", machine->board);
  snprintf(text, sizeof(text), "%s (%s)", machine->cpu, machine->processor);
  print_fact(report, "CPU", text);
  print_fact(report, "governor", machine->governor);
  print_fact(report, "kernel", machine->kernel);
  snprintf(text, sizeof(text), "TensorFlow Lite %.100s", report->runtime_version);
  print_fact(report, "runtime", text);
  if (report->library_version != NULL) {
    snprintf(text, sizeof(text), "%.60s, isa %.60s, plan %.60s", report->library_version,
             options->isa, options->plan);
    print_fact(report, "oaq", text);
  }
  snprintf(text, sizeof(text), "%d", options->threads);
  print_fact(report, "threads", text);
  fputs("\n", stdout);
}

static double ratio(const RunReport* report, const ModeResult* result) {
  return report->results[0].seconds.median / result->seconds.median;
}

static void print_times(const RunReport* report) {
  const Style style = style_of(report);
  const char* first = report->results[0].mode->name;
  char heading[64];
  snprintf(heading, sizeof(heading), "%s / mode", first);
  const char* headings[] = {"median ms", "quartiles ms", "least ms", heading, "setup ms", "runs"};
  const int widths[] = {9, 17, 9, (int)strlen(heading), 8, 4};
  printf("%s%-11s", style.start, "mode");
  for (int i = 0; i < 6; ++i) printf("%s%*s", style.between, widths[i], headings[i]);
  printf("%s%s%s", style.between, "output", style.end);
  if (report->options->markdown) fputs("|---|---:|---:|---:|---:|---:|---:|---|\n", stdout);
  for (size_t i = 0; i < report->num_results; ++i) {
    const ModeResult* result = &report->results[i];
    const Statistics* seconds = &result->seconds;
    char cells[6][32];
    snprintf(cells[0], sizeof(cells[0]), "%.3f", seconds->median * 1e3);
    snprintf(cells[1], sizeof(cells[1]), "%.3f to %.3f", seconds->lower_quartile * 1e3,
             seconds->upper_quartile * 1e3);
    snprintf(cells[2], sizeof(cells[2]), "%.3f", seconds->least * 1e3);
    snprintf(cells[3], sizeof(cells[3]), "%.2fx", ratio(report, result));
    snprintf(cells[4], sizeof(cells[4]), "%.1f", result->setup * 1e3);
    snprintf(cells[5], sizeof(cells[5]), "%zu", result->runs);
    printf("%s%-11s", style.start, result->mode->name);
    for (int c = 0; c < 6; ++c) printf("%s%*s", style.between, widths[c], cells[c]);
    fputs(style.between, stdout);
    if (i == 0) {
      printf("%zu bytes", result->output_bytes);
    } else if (result->differing == 0) {
      printf("equals %s", first);
    } else {
      printf("%zu of %zu bytes differ from %s", result->differing, result->output_bytes, first);
    }
    fputs(style.end, stdout);
  }
}

// The value of a key in one entry of the plan, which ends at `end`. No string can hold a key in
// this form: its quotes would be escaped.
static const char* value_of(const char* entry, const char* end, const char* key) {
  const char* found = strstr(entry, key);
  return found != NULL && found < end ? found + strlen(key) : NULL;
}

// Of a JSON string, up to what ends it; converters join the names of all they fused with `;`.
static int string_length(const char* text) {
  int length = 0;
  while (text[length] != '"' && text[length] != ';' && text[length] != 0) {
    length += text[length] == '\\' && text[length + 1] != 0 ? 2 : 1;
  }
  return length;
}

// A number of an entry, 0 where it is null.
static size_t size_in(const char* entry, const char* end, const char* key) {
  const char* found = value_of(entry, end, key);
  size_t value = 0;
  return found != NULL && sscanf(found, "%zu", &value) == 1 ? value : 0;
}

typedef struct Memory {
  size_t weights, packed, scratch;  // bytes
} Memory;

// What the plan says of a subgraph's nodes; returns the number of the next subgraph, or -1. A
// worker's scratch is as large as the largest of what the nodes ask for.
static int add_memory(const char* plan, int subgraph, Memory* memory) {
  static const char kEntry[] = "{\"subgraph\": ";
  int next_subgraph = -1;
  size_t most = 1;
  for (size_t worker = 0; most > 0; ++worker) {
    most = 0;
    for (const char* entry = strstr(plan, kEntry); entry != NULL;) {
      const char* next = strstr(entry + 1, kEntry);
      const char* end = next != NULL ? next : entry + strlen(entry);
      const int found = atoi(entry + strlen(kEntry));
      const size_t workers = size_in(entry, end, "\"workers\": ");
      if (found == subgraph && worker == 0) {
        memory->weights += size_in(entry, end, "\"weights_bytes\": ");
        memory->packed += size_in(entry, end, "\"packed_bytes\": ");
      }
      if (found == subgraph && worker < workers) {
        const size_t each = size_in(entry, end, "\"scratch_bytes\": ") / workers;
        most = each > most ? each : most;
      }
      if (found > subgraph && (next_subgraph < 0 || found < next_subgraph)) next_subgraph = found;
      entry = next;
    }
    memory->scratch += most;
  }
  return next_subgraph;
}

static Memory memory_of(const char* plan) {
  Memory memory = {0, 0, 0};
  for (int subgraph = 0; subgraph >= 0;) subgraph = add_memory(plan, subgraph, &memory);
  return memory;
}

static double extra_by_weights(const Memory* memory) {
  const size_t extra = memory->packed + memory->scratch;
  return memory->weights > 0 ? (double)extra / (double)memory->weights : 0;
}

static void print_memory(const RunReport* report) {
  const Style style = style_of(report);
  bool first = true;
  for (size_t i = 0; i < report->num_results; ++i) {
    if (report->results[i].plan == NULL) continue;
    const Memory memory = memory_of(report->results[i].plan);
    if (first) {
      printf("\n%s%-11s%s%13s%s%12s%s%13s%s%10s%s", style.start, "mode", style.between,
             "weights bytes", style.between, "packed bytes", style.between, "scratch bytes",
             style.between, "by weights", style.end);
      if (report->options->markdown) fputs("|---|---:|---:|---:|---:|\n", stdout);
    }
    first = false;
    printf("%s%-11s%s%13zu%s%12zu%s%13zu%s%9.2fx%s", style.start, report->results[i].mode->name,
           style.between, memory.weights, style.between, memory.packed, style.between,
           memory.scratch, style.between, extra_by_weights(&memory), style.end);
  }
}

static void print_profile(const RunReport* report, const ModeResult* result) {
  const Style style = style_of(report);
  printf("\nOperators on our kernels, mode %s, mean of all runs, warm-up included:\n\n",
         result->mode->name);
  printf("%s%4s%s%9s%s%5s%s%-18s%s%-6s%s%s%s", style.start, "op", style.between, "us",
         style.between, "share", style.between, "kind", style.between, "runs", style.between,
         "name", style.end);
  if (report->options->markdown) fputs("|---:|---:|---:|---|---|---|\n", stdout);
  for (const char* entry = strstr(result->plan, "{\"subgraph\": "); entry != NULL;) {
    const char* next = strstr(entry + 1, "{\"subgraph\": ");
    const char* end = next != NULL ? next : entry + strlen(entry);
    const char* kind = value_of(entry, end, "\"kind\": \"");
    const char* name = value_of(entry, end, "\"name\": \"");
    const char* runs = value_of(entry, end, "\"runs\": \"");
    const char* counted = value_of(entry, end, "\"invocations\": ");
    const char* timed = value_of(entry, end, "\"nanoseconds\": ");
    int op = 0;
    double invocations = 0, nanoseconds = 0;
    if (kind != NULL && name != NULL && runs != NULL && counted != NULL && timed != NULL &&
        sscanf(entry, "{\"subgraph\": %*d, \"op\": %d", &op) == 1 &&
        sscanf(counted, "%lf", &invocations) == 1 && sscanf(timed, "%lf", &nanoseconds) == 1 &&
        invocations > 0) {
      const double each = nanoseconds / invocations;
      printf("%s%4d%s%9.1f%s%4.1f%%%s%-18.*s%s%-6.*s%s%.*s%s", style.start, op, style.between,
             each * 1e-3, style.between, 1e-7 * each / result->seconds.median, style.between,
             string_length(kind), kind, style.between, string_length(runs), runs, style.between,
             string_length(name), name, style.end);
    }
    entry = next;
  }
}

void run_report_print(const RunReport* report) {
  print_facts(report);
  print_times(report);
  print_memory(report);
  for (size_t i = 0; i < report->num_results; ++i) {
    const ModeResult* result = &report->results[i];
    if (report->options->profile && result->plan != NULL) print_profile(report, result);
  }
}

static void write_string(FILE* file, const char* key, const char* value) {
  fprintf(file, "  \"%s\": ", key);
  if (value == NULL) {
    fputs("null,\n", file);
    return;
  }
  fputc('"', file);
  for (const unsigned char* c = (const unsigned char*)value; *c != 0; ++c) {
    if (*c == '"' || *c == '\\') {
      fprintf(file, "\\%c", *c);
    } else if (*c < 0x20 || *c > 0x7E) {
      // Paths are bytes: each stands for the character of its number, so that this is always UTF-8.
      fprintf(file, "\\u%04x", *c);
    } else {
      fputc(*c, file);
    }
  }
  fputs("\",\n", file);
}

static void write_mode(FILE* file, const RunReport* report, const ModeResult* result) {
  const Statistics* seconds = &result->seconds;
  fprintf(file, "    {\"mode\": \"%s\", \"runs\": %zu, \"setup_ms\": %.6f, \"median_ms\": %.6f,\n",
          result->mode->name, result->runs, result->setup * 1e3, seconds->median * 1e3);
  fprintf(file, "     \"quartiles_ms\": [%.6f, %.6f], \"least_ms\": %.6f, \"ratio\": %.6f,\n",
          seconds->lower_quartile * 1e3, seconds->upper_quartile * 1e3, seconds->least * 1e3,
          ratio(report, result));
  fprintf(file, "     \"output_bytes\": %zu, \"differing_bytes\": %zu, \"memory\": ",
          result->output_bytes, result->differing);
  if (result->plan != NULL) {
    const Memory memory = memory_of(result->plan);
    fprintf(file, "{\"weights\": %zu, \"packed\": %zu, \"scratch\": %zu, \"ratio\": %.4f}",
            memory.weights, memory.packed, memory.scratch, extra_by_weights(&memory));
  } else {
    fputs("null", file);
  }
  fprintf(file, ",\n     \"plan\": %s}", result->plan != NULL ? result->plan : "null");
}

bool run_report_write_json(const RunReport* report, const char* path) {
  const RunOptions* options = report->options;
  const bool to_stdout = strcmp(path, "-") == 0;
  FILE* file = to_stdout ? stdout : fopen(path, "w");
  if (file == NULL) return fail("--json '%s' can't be written", path);
  fputs("{\n", file);
  write_string(file, "model", options->model);
  write_string(file, "board", report->machine.board);
  write_string(file, "cpu", report->machine.cpu);
  write_string(file, "machine", report->machine.processor);
  write_string(file, "governor", report->machine.governor);
  write_string(file, "kernel", report->machine.kernel);
  write_string(file, "runtime_version", report->runtime_version);
  write_string(file, "library_version", report->library_version);
  write_string(file, "isa", options->isa);
  write_string(file, "plan", options->plan);
  fprintf(file, "  \"threads\": %d,\n  \"modes\": [\n", options->threads);
  for (size_t i = 0; i < report->num_results; ++i) {
    if (i > 0) fputs(",\n", file);
    write_mode(file, report, &report->results[i]);
  }
  fputs("\n  ]\n}\n", file);
  const bool written = ferror(file) == 0 && (to_stdout ? fflush(file) : fclose(file)) == 0;
  return written || fail("--json '%s' could not be written to the end", path);
}
