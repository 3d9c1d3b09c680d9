// SPDX-License-Identifier: Apache-2.0
// Runs a .tflite model in a TensorFlow Lite C library, as it comes and with our kernels, in turns
// run by run, so that what else the machine does falls on all modes alike: docs/benchmarks.md.
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/fail.h"
#include "bench/run_report.h"
#include "bench/session.h"

enum { kFault = 2 };

const char fail_program[] = "oaq_run_model";

static bool read_file(const char* path, Bytes* bytes) {
  *bytes = (Bytes){NULL, 0};
  FILE* file = fopen(path, "rb");
  if (file == NULL) return fail("'%s' can't be read", path);
  size_t capacity = 0, got = 0;
  do {
    if (bytes->size == capacity) {
      capacity = capacity > 0 ? 2 * capacity : 1 << 20;
      char* grown = realloc(bytes->data, capacity);
      if (grown == NULL) break;
      bytes->data = grown;
    }
    got = fread(bytes->data + bytes->size, 1, capacity - bytes->size, file);
    bytes->size += got;
  } while (got > 0);
  const bool whole = feof(file) != 0 && ferror(file) == 0;
  fclose(file);
  if (whole) return true;
  free(bytes->data);
  *bytes = (Bytes){NULL, 0};
  return fail("'%s' can't be read to its end", path);
}

static bool write_file(const char* path, const Bytes* bytes) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) return fail("--output '%s' can't be written", path);
  const bool written = fwrite(bytes->data, 1, bytes->size, file) == bytes->size;
  return (fclose(file) == 0 && written) ||
         fail("--output '%s' could not be written to the end", path);
}

static bool write_outputs(const RunOptions* options, const Mode* mode, const Bytes* bytes) {
  if (options->output == NULL) return true;
  if (options->num_modes == 1) return write_file(options->output, bytes);
  const size_t size = strlen(options->output) + strlen(mode->name) + 2;
  char* path = malloc(size);
  if (path == NULL) return fail("out of memory");
  snprintf(path, size, "%s.%s", options->output, mode->name);
  const bool written = write_file(path, bytes);
  free(path);
  return written;
}

static void report_crash(int signal_number) {
  (void)signal_number;
  static const char kText[] =
      "oaq_run_model: crashed in the runtime or in our kernels: the model file is damaged, or one "
      "of "
      "them has a fault; a debugger shows where\n";
  const ssize_t written = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  (void)written;
  _exit(kFault);
}

// The runtime checks the structure of a file, not every index in it.
static void catch_crashes(void) {
  const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
  struct sigaction action = {.sa_handler = report_crash};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); ++i) {
    sigaction(signals[i], &action, NULL);
  }
}

static bool open_sessions(Session* sessions, const TfLiteModel* model, const RunOptions* options,
                          const Bytes* input) {
  for (size_t i = 0; i < options->num_modes; ++i) {
    if (!session_open(&sessions[i], model, options)) return false;
    if (!session_set_inputs(&sessions[i], input)) return false;
  }
  return true;
}

static bool run_in_turns(Session* sessions, const RunOptions* options) {
  for (size_t run = 0; run < options->warmup; ++run) {
    for (size_t i = 0; i < options->num_modes; ++i) {
      if (!session_run(&sessions[i], false)) return false;
    }
  }
  const double start = seconds_now();
  for (size_t run = 0; run < options->runs; ++run) {
    if (run > 0 && options->seconds > 0 && seconds_now() - start > options->seconds) break;
    for (size_t i = 0; i < options->num_modes; ++i) {
      if (!session_run(&sessions[i], true)) return false;
    }
  }
  return true;
}

static char* plan_of(const Session* session) {
  const size_t size = session->library->plan_json(session->ours, NULL, 0) + 1;
  char* plan = malloc(size);
  if (plan != NULL) session->library->plan_json(session->ours, plan, size);
  return plan;
}

static bool collect(Session* session, const RunOptions* options, Bytes* first, ModeResult* result) {
  Bytes outputs;
  if (!session_get_outputs(session, &outputs)) return false;
  *result = (ModeResult){.mode = session->mode,
                         .setup = session->setup,
                         .seconds = statistics_of(session->seconds, session->runs),
                         .runs = session->runs,
                         .output_bytes = outputs.size};
  if (session->ours != NULL) result->plan = plan_of(session);
  for (size_t i = 0; i < outputs.size && first->data != NULL; ++i) {
    result->differing += i >= first->size || outputs.data[i] != first->data[i];
  }
  const bool written = write_outputs(options, session->mode, &outputs);
  if (first->data == NULL) {
    *first = outputs;
  } else {
    free(outputs.data);
  }
  return written;
}

static bool report(Session* sessions, const RunOptions* options, const TfLiteCApi* api,
                   const OaqLibrary* library) {
  ModeResult results[kMaxModes] = {{0}};
  Bytes first = {NULL, 0};
  bool done = true;
  for (size_t i = 0; done && i < options->num_modes; ++i) {
    done = collect(&sessions[i], options, &first, &results[i]);
  }
  const RunReport found = {.options = options,
                           .machine = machine_read(),
                           .runtime_version = api->Version(),
                           .library_version = library->handle != NULL ? library->version() : NULL,
                           .results = results,
                           .num_results = options->num_modes};
  // JSON for a script goes alone to where it is asked for.
  if (done && (options->json == NULL || strcmp(options->json, "-") != 0)) run_report_print(&found);
  if (done && options->json != NULL) done = run_report_write_json(&found, options->json);
  for (size_t i = 0; i < options->num_modes; ++i) free(results[i].plan);
  free(first.data);
  return done;
}

static bool run(const RunOptions* options, const Bytes* model_bytes, const Bytes* input) {
  TfLiteCApi api;
  OaqLibrary library = {0};
  bool ours = false;
  for (size_t i = 0; i < options->num_modes; ++i) ours = ours || options->modes[i]->ours;
  if (!tflite_c_api_load(options->runtime, &api)) return false;
  if (ours && !oaq_library_load(options->library, &library)) return false;
  catch_crashes();
  TfLiteModel* model = api.ModelCreate(model_bytes->data, model_bytes->size);
  if (model == NULL) return fail("'%s' is no TFLite model, or a damaged one", options->model);
  Session sessions[kMaxModes] = {{0}};
  for (size_t i = 0; i < options->num_modes; ++i) {
    sessions[i] = (Session){.api = &api, .library = &library, .mode = options->modes[i]};
  }
  const bool opened = open_sessions(sessions, model, options, input);
  const bool done =
      opened && run_in_turns(sessions, options) && report(sessions, options, &api, &library);
  for (size_t i = 0; i < options->num_modes; ++i) session_close(&sessions[i]);
  api.ModelDelete(model);
  return done;
}

int main(int count, char** arguments) {
  RunOptions options;
  if (!run_options_parse(count, arguments, &options)) return kFault;
  if (options.help) {
    run_options_print_help();
    return 0;
  }
  Bytes model = {NULL, 0}, input = {NULL, 0};
  bool done = read_file(options.model, &model);
  if (done && (model.size < 8 || memcmp(model.data + 4, "TFL3", 4) != 0)) {
    done = fail("'%s' is no TFLite model: it lacks the TFL3 identifier", options.model);
  }
  if (done && options.input != NULL) done = read_file(options.input, &input);
  done = done && run(&options, &model, options.input != NULL ? &input : NULL);
  free(model.data);
  free(input.data);
  return done ? 0 : kFault;
}
