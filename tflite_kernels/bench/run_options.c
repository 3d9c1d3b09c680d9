// SPDX-License-Identifier: Apache-2.0
#include "bench/run_options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"

static const Mode kModes[] = {
    {"stock", false, false, false},    {"xnnpack", false, true, false},
    {"oaq", true, false, false},       {"oaq+xnnpack", true, true, false},
    {"reference", false, false, true},
};
enum { kNumModes = sizeof(kModes) / sizeof(kModes[0]) };

void run_options_print_help(void) {
  fputs(
      "usage: oaq_run_model --model FILE [--mode MODE]... [options]\n"
      "Runs a .tflite model in one or several modes, in turns run by run, and compares the times.\n"
      "\n"
      "  --model FILE     the .tflite file\n"
      "  --mode MODE      stock: as the runtime comes; xnnpack: with its XNNPACK delegate;\n"
      "                   oaq: with our delegate, builtin operators too; oaq+xnnpack: ours first;\n"
      "                   reference: the runtime's own kernels alone. Several: run in turns,\n"
      "                   compared with the first one (stock and oaq)\n"
      "  --runtime FILE   the TensorFlow Lite C library (libtensorflowlite_c.so)\n"
      "  --library FILE   ours (liboaq_tflite.so, next to this program or where loaders look)\n"
      "  --threads N      threads of every mode, 1 to 9999 (1)\n"
      "  --isa NAME       kernels of our delegate (auto)\n"
      "  --plan NAME      plan of our delegate: auto, int16 or exact (auto)\n"
      "  --runs N         measured runs of each mode (50)\n"
      "  --warmup N       runs of each mode before them (5)\n"
      "  --seconds S      begin no run after S seconds of measured time (no limit)\n"
      "  --input FILE     raw bytes of all inputs, one after the other (pseudo-random ones)\n"
      "  --output FILE    write raw bytes of all outputs; FILE.MODE where there are several modes\n"
      "  --profile        times of the operators on our kernels\n"
      "  --json FILE      write the figures as JSON, - for standard output\n"
      "  --markdown       print them as a Markdown table\n",
      stdout);
}

static bool parse_count(const char* option, const char* text, unsigned long least,
                        unsigned long most, unsigned long* value) {
  char* end = NULL;
  errno = 0;
  *value = strtoul(text, &end, 10);
  // strtoul takes signs and blanks as well.
  if (text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && *value >= least &&
      *value <= most) {
    return true;
  }
  return fail("%s is '%s', expected a whole number from %lu to %lu", option, text, least, most);
}

static bool parse_seconds(const char* text, double* seconds) {
  char* end = NULL;
  *seconds = strtod(text, &end);
  if (end != text && *end == 0 && isfinite(*seconds) && *seconds > 0) return true;
  return fail("--seconds is '%s', expected a number above 0", text);
}

static bool add_mode(const char* name, RunOptions* options) {
  for (size_t i = 0; i < options->num_modes; ++i) {
    if (strcmp(options->modes[i]->name, name) == 0) return fail("--mode %s is given twice", name);
  }
  for (size_t i = 0; i < kNumModes; ++i) {
    if (strcmp(kModes[i].name, name) != 0) continue;
    options->modes[options->num_modes++] = &kModes[i];
    return true;
  }
  return fail("--mode is '%s', expected stock, xnnpack, oaq, oaq+xnnpack or reference", name);
}

static bool parse_switch(const char* name, RunOptions* options) {
  if (strcmp(name, "--profile") == 0) return options->profile = true;
  if (strcmp(name, "--markdown") == 0) return options->markdown = true;
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return options->help = true;
  return false;
}

// Where an option with text goes, NULL for other options.
static const char** text_option(const char* name, RunOptions* options) {
  const struct {
    const char* name;
    const char** text;
  } texts[] = {
      {"--model", &options->model},     {"--runtime", &options->runtime},
      {"--library", &options->library}, {"--input", &options->input},
      {"--output", &options->output},   {"--json", &options->json},
      {"--isa", &options->isa},         {"--plan", &options->plan},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
    if (strcmp(texts[i].name, name) == 0) return texts[i].text;
  }
  return NULL;
}

static bool parse_value(const char* name, const char* value, RunOptions* options) {
  unsigned long count = 0;
  if (strcmp(name, "--mode") == 0) return add_mode(value, options);
  if (strcmp(name, "--seconds") == 0) return parse_seconds(value, &options->seconds);
  if (strcmp(name, "--threads") == 0) {
    if (!parse_count(name, value, 1, 9999, &count)) return false;
    options->threads = (int)count;
    return true;
  }
  const bool runs = strcmp(name, "--runs") == 0;
  if (!parse_count(name, value, runs, 1000000, &count)) return false;
  *(runs ? &options->runs : &options->warmup) = count;
  return true;
}

static bool takes_value(const char* name) {
  static const char* const kNames[] = {"--mode", "--seconds", "--threads", "--runs", "--warmup"};
  for (size_t i = 0; i < sizeof(kNames) / sizeof(kNames[0]); ++i) {
    if (strcmp(kNames[i], name) == 0) return true;
  }
  return false;
}

bool run_options_parse(int count, char** arguments, RunOptions* options) {
  *options = (RunOptions){.runtime = "libtensorflowlite_c.so",
                          .isa = "auto",
                          .plan = "auto",
                          .threads = 1,
                          .runs = 50,
                          .warmup = 5};
  for (int i = 1; i < count; ++i) {
    const char* name = arguments[i];
    if (parse_switch(name, options)) continue;
    const char** text = text_option(name, options);
    if (text == NULL && !takes_value(name)) {
      return fail("unknown argument '%s'; --help lists them", name);
    }
    if (i + 1 == count) return fail("%s wants a value", name);
    const char* value = arguments[++i];
    if (text != NULL) {
      *text = value;
    } else if (!parse_value(name, value, options)) {
      return false;
    }
  }
  if (options->help) return true;
  if (options->model == NULL) return fail("no --model FILE; --help lists all options");
  return options->num_modes > 0 || (add_mode("stock", options) && add_mode("oaq", options));
}
