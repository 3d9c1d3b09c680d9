// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_SESSION_H_
#define OAQ_BENCH_SESSION_H_

#include "bench/run_options.h"
#include "bench/tflite_c_api.h"

// A model, ready to run in one mode.
typedef struct Session {
  const TfLiteCApi* api;
  const OaqLibrary* library;
  const Mode* mode;
  TfLiteDelegate shield;
  TfLiteDelegate* ours;
  TfLiteDelegate* xnnpack;
  TfLiteInterpreterOptions* settings;
  TfLiteInterpreter* interpreter;
  double setup;     // seconds from the model's bytes to allocated tensors
  double* seconds;  // of the measured runs
  size_t runs;
} Session;

// Bytes of a file or of a model's tensors, one after the other.
typedef struct Bytes {
  char* data;
  size_t size;
} Bytes;

double seconds_now(void);

// Functions that return bool print what is wrong before they return false.

// `session` is all zero. Free it in any case; the model may go no sooner.
bool session_open(Session* session, const TfLiteModel* model, const RunOptions* options);
void session_close(Session* session);

// NULL input: the same pseudo-random one in every session.
bool session_set_inputs(const Session* session, const Bytes* input);
bool session_run(Session* session, bool measured);
bool session_get_outputs(const Session* session, Bytes* outputs);

#endif  // OAQ_BENCH_SESSION_H_
