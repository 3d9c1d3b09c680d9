// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_TFLITE_C_API_H_
#define OAQ_BENCH_TFLITE_C_API_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oaq/oaq_tflite.h"
#include "tflite/abi.h"

typedef struct TfLiteModel TfLiteModel;
typedef struct TfLiteInterpreter TfLiteInterpreter;
typedef struct TfLiteInterpreterOptions TfLiteInterpreterOptions;

// TfLiteXNNPackDelegateOptions of any version, or more: the fields here are those of up to 2.16;
// later ones keep num_threads alone in its place.
typedef struct XnnpackOptions {
  int32_t num_threads;
  uint32_t flags;
  char later[248];
} XnnpackOptions;

// Functions of a TensorFlow Lite C library, named as there without "TfLite".
typedef struct TfLiteCApi {
  void* handle;
  const char* (*Version)(void);
  TfLiteModel* (*ModelCreate)(const void* data, size_t size);
  void (*ModelDelete)(TfLiteModel*);
  TfLiteInterpreterOptions* (*InterpreterOptionsCreate)(void);
  void (*InterpreterOptionsDelete)(TfLiteInterpreterOptions*);
  void (*InterpreterOptionsSetNumThreads)(TfLiteInterpreterOptions*, int32_t);
  void (*InterpreterOptionsAddDelegate)(TfLiteInterpreterOptions*, TfLiteDelegate*);
  TfLiteInterpreter* (*InterpreterCreate)(const TfLiteModel*, const TfLiteInterpreterOptions*);
  void (*InterpreterDelete)(TfLiteInterpreter*);
  int32_t (*InterpreterGetInputTensorCount)(const TfLiteInterpreter*);
  TfLiteTensor* (*InterpreterGetInputTensor)(const TfLiteInterpreter*, int32_t);
  int32_t (*InterpreterGetOutputTensorCount)(const TfLiteInterpreter*);
  const TfLiteTensor* (*InterpreterGetOutputTensor)(const TfLiteInterpreter*, int32_t);
  TfLiteStatus (*InterpreterAllocateTensors)(TfLiteInterpreter*);
  TfLiteStatus (*InterpreterInvoke)(TfLiteInterpreter*);
  TfLiteType (*TensorType)(const TfLiteTensor*);
  size_t (*TensorByteSize)(const TfLiteTensor*);
  void* (*TensorData)(const TfLiteTensor*);
  // NULL where the library does not export them.
  XnnpackOptions (*XNNPackDelegateOptionsDefault)(void);
  TfLiteDelegate* (*XNNPackDelegateCreate)(const XnnpackOptions*);
  void (*XNNPackDelegateDelete)(TfLiteDelegate*);
} TfLiteCApi;

// Functions of liboaq_tflite.
typedef struct OaqLibrary {
  void* handle;
  const char* (*version)(void);
  TfLiteDelegate* (*create_delegate)(char**, char**, size_t, void (*)(const char*));
  void (*destroy_delegate)(TfLiteDelegate*);
  size_t (*plan_json)(const TfLiteDelegate*, char*, size_t);
} OaqLibrary;

// All print what is wrong where a library does not load or lacks a function.
bool tflite_c_api_load(const char* path, TfLiteCApi* api);
// A delegate for int8 and uint8 models. NULL, after saying so, where the library has none.
TfLiteDelegate* tflite_c_api_xnnpack(const TfLiteCApi* api, int threads);
// NULL path: next to this program, else where the loader looks.
bool oaq_library_load(const char* path, OaqLibrary* library);

#endif  // OAQ_BENCH_TFLITE_C_API_H_
