// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L

#include "bench/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/fail.h"
#include "bench/shield.h"

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void report_error(const char* message) { fail("liboaq_tflite: %s", message); }

static TfLiteDelegate* create_ours(const OaqLibrary* library, const RunOptions* options) {
  char threads[16];
  snprintf(threads, sizeof(threads), "%d", options->threads);
  char* keys[] = {"builtin", "num_threads", "isa", "plan", "profile"};
  char* values[] = {"1", threads, (char*)options->isa, (char*)options->plan, "1"};
  // Asked for on demand only, so that older libraries can be compared with.
  return library->create_delegate(keys, values, options->profile ? 5 : 4, report_error);
}

static bool add_delegates(Session* session, const RunOptions* options) {
  const TfLiteCApi* api = session->api;
  if (session->mode->shield) {
    session->shield = shield_delegate();
    api->InterpreterOptionsAddDelegate(session->settings, &session->shield);
  }
  if (session->mode->ours) {
    session->ours = create_ours(session->library, options);
    if (session->ours == NULL) return false;
    api->InterpreterOptionsAddDelegate(session->settings, session->ours);
  }
  if (session->mode->xnnpack) {
    session->xnnpack = tflite_c_api_xnnpack(api, options->threads);
    if (session->xnnpack == NULL) return false;
    api->InterpreterOptionsAddDelegate(session->settings, session->xnnpack);
  }
  return true;
}

bool session_open(Session* session, const TfLiteModel* model, const RunOptions* options) {
  const TfLiteCApi* api = session->api;
  session->seconds = calloc(options->runs, sizeof(*session->seconds));
  session->settings = api->InterpreterOptionsCreate();
  if (session->seconds == NULL || session->settings == NULL) return fail("out of memory");
  api->InterpreterOptionsSetNumThreads(session->settings, options->threads);
  const double start = seconds_now();
  if (!add_delegates(session, options))
    return fail("mode %s is not to be had", session->mode->name);
  session->interpreter = api->InterpreterCreate(model, session->settings);
  if (session->interpreter == NULL ||
      api->InterpreterAllocateTensors(session->interpreter) != kTfLiteOk) {
    return fail("mode %s: the runtime refuses '%s' (see above)%s", session->mode->name,
                options->model,
                session->mode->ours
                    ? ""
                    : "; with Oaq operators it runs in the modes oaq and oaq+xnnpack alone, "
                      "`oaq convert IN OUT --ops builtin` makes a file for all modes");
  }
  session->setup = seconds_now() - start;
  return true;
}

void session_close(Session* session) {
  const TfLiteCApi* api = session->api;
  if (session->interpreter != NULL) api->InterpreterDelete(session->interpreter);
  if (session->settings != NULL) api->InterpreterOptionsDelete(session->settings);
  // The delegates outlive the interpreter.
  if (session->ours != NULL) session->library->destroy_delegate(session->ours);
  if (session->xnnpack != NULL) api->XNNPackDelegateDelete(session->xnnpack);
  free(session->seconds);
}

static uint32_t next_random(uint32_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  return *state ^= *state << 5;
}

// Integers wider than 16 bits are left at zero: they may be indices.
static void fill(TfLiteType type, char* data, size_t size, uint32_t* state) {
  memset(data, 0, size);
  if (type == kTfLiteInt8 || type == kTfLiteUInt8 || type == kTfLiteInt16) {
    for (size_t i = 0; i < size; ++i) data[i] = (char)(next_random(state) >> 24);
  } else if (type == kTfLiteFloat32) {
    for (size_t i = 0; i + sizeof(float) <= size; i += sizeof(float)) {
      const float value = (float)(next_random(state) >> 8) / (float)(1 << 24);
      memcpy(data + i, &value, sizeof(value));
    }
  }
}

bool session_set_inputs(const Session* session, const Bytes* input) {
  const TfLiteCApi* api = session->api;
  const int32_t count = api->InterpreterGetInputTensorCount(session->interpreter);
  size_t total = 0;
  for (int32_t i = 0; i < count; ++i) {
    total += api->TensorByteSize(api->InterpreterGetInputTensor(session->interpreter, i));
  }
  if (input != NULL && input->size != total) {
    return fail("--input has %zu bytes, the model's inputs take %zu", input->size, total);
  }
  size_t used = 0;
  uint32_t state = 2463534242u;
  for (int32_t i = 0; i < count; ++i) {
    const TfLiteTensor* tensor = api->InterpreterGetInputTensor(session->interpreter, i);
    char* data = api->TensorData(tensor);
    const size_t size = api->TensorByteSize(tensor);
    if (size == 0) continue;
    if (data == NULL) return fail("input %d has no memory", (int)i);
    if (input != NULL) {
      memcpy(data, input->data + used, size);
    } else {
      fill(api->TensorType(tensor), data, size, &state);
    }
    used += size;
  }
  return true;
}

bool session_run(Session* session, bool measured) {
  const double start = seconds_now();
  if (session->api->InterpreterInvoke(session->interpreter) != kTfLiteOk) {
    return fail("mode %s: a run failed (see above)", session->mode->name);
  }
  if (measured) session->seconds[session->runs++] = seconds_now() - start;
  return true;
}

bool session_get_outputs(const Session* session, Bytes* outputs) {
  const TfLiteCApi* api = session->api;
  const int32_t count = api->InterpreterGetOutputTensorCount(session->interpreter);
  *outputs = (Bytes){NULL, 0};
  for (int32_t i = 0; i < count; ++i) {
    const TfLiteTensor* tensor = api->InterpreterGetOutputTensor(session->interpreter, i);
    const size_t size = api->TensorByteSize(tensor);
    const char* data = api->TensorData(tensor);
    char* grown = realloc(outputs->data, outputs->size + size + 1);
    if (grown == NULL || (data == NULL && size > 0)) {
      free(grown != NULL ? grown : outputs->data);
      return fail("output %d can't be read, or memory is out", (int)i);
    }
    if (size > 0) memcpy(grown + outputs->size, data, size);
    *outputs = (Bytes){grown, outputs->size + size};
  }
  return true;
}
