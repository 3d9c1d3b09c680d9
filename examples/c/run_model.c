// SPDX-License-Identifier: Apache-2.0
// Runs a .tflite file on our kernels: reads the bytes of its inputs, writes those of its outputs.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oaq/oaq_tflite.h"
#include "tensorflow/lite/c/c_api.h"

// As in tensorflow/lite/c/c_api_experimental.h, which few packages of the C library hold.
void TfLiteInterpreterOptionsAddCustomOp(TfLiteInterpreterOptions* options, const char* name,
                                         const TfLiteRegistration* op, int32_t min_version,
                                         int32_t max_version);

static void check(bool done, const char* otherwise) {
  if (done) return;
  fprintf(stderr, "run_model: %s\n", otherwise);
  exit(1);
}

int main(int count, char** arguments) {
  const char* way = count == 3 ? arguments[2] : "";
  const bool delegated = strcmp(way, "delegate") == 0;
  check(delegated || strcmp(way, "operators") == 0,
        "usage: run_model MODEL.tflite delegate|operators <INPUTS >OUTPUTS");
  TfLiteModel* model = TfLiteModelCreateFromFile(arguments[1]);
  check(model != NULL, "the model can't be read, or is no .tflite file");

  // The better way: a delegate sees the whole graph, proves its sums, and has threads.
  TfLiteInterpreterOptions* options = TfLiteInterpreterOptionsCreate();
  TfLiteDelegate* delegate = NULL;
  if (delegated) {
    OaqDelegateOptions ours = oaq_delegate_options_default();
    ours.num_threads = 2;
    ours.builtin = 1;
    delegate = oaq_delegate_create(&ours);
    check(delegate != NULL, "no delegate: an option of it is not valid, or memory is out");
    TfLiteInterpreterOptionsAddDelegate(options, delegate);
  } else {  // For runtimes without delegates. Versions 1 to 1.
    TfLiteInterpreterOptionsAddCustomOp(options, "OaqConv2D", oaq_register_conv_2d(), 1, 1);
    TfLiteInterpreterOptionsAddCustomOp(options, "OaqDepthwiseConv2D",
                                        oaq_register_depthwise_conv_2d(), 1, 1);
    TfLiteInterpreterOptionsAddCustomOp(options, "OaqFullyConnected",
                                        oaq_register_fully_connected(), 1, 1);
    TfLiteInterpreterOptionsAddCustomOp(options, "OaqTransposeConv", oaq_register_transpose_conv(),
                                        1, 1);
  }

  TfLiteInterpreter* interpreter = TfLiteInterpreterCreate(model, options);
  check(interpreter != NULL, "no interpreter: the runtime said why");
  check(TfLiteInterpreterAllocateTensors(interpreter) == kTfLiteOk, "no tensors: see above");
  for (int i = 0; i < TfLiteInterpreterGetInputTensorCount(interpreter); ++i) {
    TfLiteTensor* input = TfLiteInterpreterGetInputTensor(interpreter, i);
    const size_t size = TfLiteTensorByteSize(input);
    char wanted[80];
    snprintf(wanted, sizeof(wanted), "stdin ends before input %d has its %zu bytes", i, size);
    check(fread(TfLiteTensorData(input), 1, size, stdin) == size, wanted);
  }
  check(fgetc(stdin) == EOF, "stdin holds more than the inputs");
  check(TfLiteInterpreterInvoke(interpreter) == kTfLiteOk, "the model failed: see above");
  for (int i = 0; i < TfLiteInterpreterGetOutputTensorCount(interpreter); ++i) {
    const TfLiteTensor* output = TfLiteInterpreterGetOutputTensor(interpreter, i);
    const size_t size = TfLiteTensorByteSize(output);
    check(fwrite(TfLiteTensorData(output), 1, size, stdout) == size, "stdout can't be written");
  }

  TfLiteInterpreterDelete(interpreter);
  oaq_delegate_destroy(delegate);  // the interpreter used it to its end
  TfLiteInterpreterOptionsDelete(options);
  TfLiteModelDelete(model);
  return 0;
}
