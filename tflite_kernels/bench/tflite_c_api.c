// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L

#include "bench/tflite_c_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/fail.h"

typedef struct Symbol {
  const char* name;
  void* function;  // the pointer to set, of whatever function type
  bool optional;
} Symbol;

static bool find_symbols(void* handle, const char* path, const Symbol* symbols, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    // Copied, since ISO C has no conversion from an object's pointer to a function's.
    void* address = dlsym(handle, symbols[i].name);
    if (address == NULL && !symbols[i].optional) {
      return fail("'%s' exports no %s: it is another library, or of another version", path,
                  symbols[i].name);
    }
    memcpy(symbols[i].function, &address, sizeof(address));
  }
  return true;
}

static void* open_library(const char* path, const char* option) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) fail("'%s' does not load: %s; name it with %s", path, dlerror(), option);
  return handle;
}

bool tflite_c_api_load(const char* path, TfLiteCApi* api) {
  memset(api, 0, sizeof(*api));
  api->handle = open_library(path, "--runtime");
  if (api->handle == NULL) return false;
  const Symbol symbols[] = {
      {"TfLiteVersion", &api->Version, false},
      {"TfLiteModelCreate", &api->ModelCreate, false},
      {"TfLiteModelDelete", &api->ModelDelete, false},
      {"TfLiteInterpreterOptionsCreate", &api->InterpreterOptionsCreate, false},
      {"TfLiteInterpreterOptionsDelete", &api->InterpreterOptionsDelete, false},
      {"TfLiteInterpreterOptionsSetNumThreads", &api->InterpreterOptionsSetNumThreads, false},
      {"TfLiteInterpreterOptionsAddDelegate", &api->InterpreterOptionsAddDelegate, false},
      {"TfLiteInterpreterCreate", &api->InterpreterCreate, false},
      {"TfLiteInterpreterDelete", &api->InterpreterDelete, false},
      {"TfLiteInterpreterGetInputTensorCount", &api->InterpreterGetInputTensorCount, false},
      {"TfLiteInterpreterGetInputTensor", &api->InterpreterGetInputTensor, false},
      {"TfLiteInterpreterGetOutputTensorCount", &api->InterpreterGetOutputTensorCount, false},
      {"TfLiteInterpreterGetOutputTensor", &api->InterpreterGetOutputTensor, false},
      {"TfLiteInterpreterAllocateTensors", &api->InterpreterAllocateTensors, false},
      {"TfLiteInterpreterInvoke", &api->InterpreterInvoke, false},
      {"TfLiteTensorType", &api->TensorType, false},
      {"TfLiteTensorByteSize", &api->TensorByteSize, false},
      {"TfLiteTensorData", &api->TensorData, false},
      {"TfLiteXNNPackDelegateOptionsDefault", &api->XNNPackDelegateOptionsDefault, true},
      {"TfLiteXNNPackDelegateCreate", &api->XNNPackDelegateCreate, true},
      {"TfLiteXNNPackDelegateDelete", &api->XNNPackDelegateDelete, true},
  };
  return find_symbols(api->handle, path, symbols, sizeof(symbols) / sizeof(symbols[0]));
}

// The defaults of versions that run int8 models by default. Those return a struct of more than 16
// bytes through a pointer, so that a larger one receives it; the older ones use registers.
static XnnpackOptions xnnpack_options(const TfLiteCApi* api) {
  const bool by_pointer = dlsym(api->handle, "TfLiteXNNPackDelegateGetFlags") != NULL ||
                          dlsym(api->handle, "TfLiteXNNPackDelegateGetOptions") != NULL;
  if (by_pointer && api->XNNPackDelegateOptionsDefault != NULL) {
    return api->XNNPackDelegateOptionsDefault();
  }
  enum { kSigned8Bits = 1, kUnsigned8Bits = 2 };
  return (XnnpackOptions){.flags = kSigned8Bits | kUnsigned8Bits};
}

TfLiteDelegate* tflite_c_api_xnnpack(const TfLiteCApi* api, int threads) {
  if (api->XNNPackDelegateCreate == NULL || api->XNNPackDelegateDelete == NULL) {
    fail("this runtime exports no XNNPACK delegate; if it was built with XNNPACK, stock has it");
    return NULL;
  }
  XnnpackOptions options = xnnpack_options(api);
  options.num_threads = threads;
  TfLiteDelegate* delegate = api->XNNPackDelegateCreate(&options);
  if (delegate == NULL) fail("the runtime's XNNPACK delegate could not be created");
  return delegate;
}

// liboaq_tflite.so in the folder of this program, if there is one.
static bool find_next_to_program(char* path, size_t size) {
  static const char kName[] = "liboaq_tflite.so";
  const ssize_t length = readlink("/proc/self/exe", path, size);
  if (length <= 0 || (size_t)length + sizeof(kName) > size) return false;
  path[length] = 0;
  char* slash = strrchr(path, '/');
  if (slash == NULL) return false;
  memcpy(slash + 1, kName, sizeof(kName));
  return access(path, R_OK) == 0;
}

bool oaq_library_load(const char* path, OaqLibrary* library) {
  char found[4096];
  memset(library, 0, sizeof(*library));
  if (path == NULL) path = find_next_to_program(found, sizeof(found)) ? found : "liboaq_tflite.so";
  library->handle = open_library(path, "--library");
  if (library->handle == NULL) return false;
  const Symbol symbols[] = {
      {"oaq_version", &library->version, false},
      {"tflite_plugin_create_delegate", &library->create_delegate, false},
      {"tflite_plugin_destroy_delegate", &library->destroy_delegate, false},
      {"oaq_delegate_plan_json", &library->plan_json, false},
  };
  return find_symbols(library->handle, path, symbols, sizeof(symbols) / sizeof(symbols[0]));
}
