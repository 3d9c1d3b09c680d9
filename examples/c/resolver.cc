// SPDX-License-Identifier: Apache-2.0
// What run_model.c does with operators, in C++.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "oaq/oaq_tflite.h"
#include "tensorflow/lite/interpreter.h"
#include "tensorflow/lite/kernels/register.h"
#include "tensorflow/lite/model.h"

namespace {

void Check(bool done, const char* otherwise) {
  if (done) return;
  std::fprintf(stderr, "resolver: %s\n", otherwise);
  std::exit(1);
}

// Works on any MutableOpResolver: one with the few builtin ops that a model needs makes a small
// program.
void AddOaqOps(tflite::MutableOpResolver* resolver) {
  resolver->AddCustom("OaqConv2D", oaq_register_conv_2d());
  resolver->AddCustom("OaqDepthwiseConv2D", oaq_register_depthwise_conv_2d());
  resolver->AddCustom("OaqFullyConnected", oaq_register_fully_connected());
  resolver->AddCustom("OaqTransposeConv", oaq_register_transpose_conv());
}

}  // namespace

int main(int count, char** arguments) {
  Check(count == 2, "usage: resolver MODEL.tflite <INPUTS >OUTPUTS");
  const auto model = tflite::FlatBufferModel::BuildFromFile(arguments[1]);
  Check(model != nullptr, "the model can't be read, or is no .tflite file");

  tflite::ops::builtin::BuiltinOpResolver resolver;
  AddOaqOps(&resolver);
  std::unique_ptr<tflite::Interpreter> interpreter;
  Check(tflite::InterpreterBuilder(*model, resolver)(&interpreter) == kTfLiteOk,
        "no interpreter: the runtime said why");
  Check(interpreter->AllocateTensors() == kTfLiteOk, "no tensors: see above");

  for (const int i : interpreter->inputs()) {
    const TfLiteTensor* input = interpreter->tensor(i);
    Check(std::fread(input->data.raw, 1, input->bytes, stdin) == input->bytes,
          "stdin ends before the inputs");
  }
  Check(interpreter->Invoke() == kTfLiteOk, "the model failed: see above");
  for (const int i : interpreter->outputs()) {
    const TfLiteTensor* output = interpreter->tensor(i);
    Check(std::fwrite(output->data.raw, 1, output->bytes, stdout) == output->bytes,
          "stdout can't be written");
  }
  return 0;
}
