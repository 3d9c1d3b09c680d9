// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_TENSORS_H_
#define OAQ_TFLITE_TENSORS_H_

#include "core/code_table.h"
#include "core/error.h"
#include "core/requantize.h"
#include "tflite/abi.h"
#include "tflite/options.h"

// Position of the activations among an op's inputs: TRANSPOSE_CONV takes the output's shape and the
// weights first.
static inline int oaq_input_position(OaqKind kind) { return kind == OAQ_TRANSPOSE_CONV ? 2 : 0; }

// The tensors of one op, checked: types, constness, shapes of the constants, quantization.
typedef struct OaqTensors {
  int input_index, output_index;
  const TfLiteTensor* input;
  const TfLiteTensor* weights;
  const TfLiteTensor* bias;  // NULL without
  const TfLiteTensor* output;
  const TfLiteTensor* output_shape;  // of TRANSPOSE_CONV: 4 constant int32, else NULL
  size_t output_channels;
} OaqTensors;

bool oaq_tensors_find(const TfLiteContext* context, const TfLiteIntArray* inputs,
                      const TfLiteIntArray* outputs, OaqKind kind, OaqTensors* tensors,
                      OaqError* error);

// reals[output_channels]: scale of input times weights by that of the output, in double precision
// as TFLite computes it.
bool oaq_tensors_multipliers(const OaqTensors* tensors, OaqKind kind, double* reals,
                             OaqError* error);

// What an activation's int8 or uint8 codes stand for: one finite scale above 0, and a zero point
// among the codes.
bool oaq_tensor_codes(const TfLiteTensor* tensor, OaqCodes* codes, OaqError* error);

// An op's output has to be neither its input nor a constant.
bool oaq_tensor_check_output(const TfLiteTensor* output, const TfLiteTensor* input,
                             OaqError* error);

// Whether both tensors have memory for as many bytes.
bool oaq_tensors_hold(const TfLiteTensor* input, size_t input_size, const TfLiteTensor* output,
                      size_t output_size, OaqError* error);

// The tensor's name for messages; never NULL.
const char* oaq_tensor_name(const TfLiteTensor* tensor);

// The tensor at `index`, NULL where there is none.
const TfLiteTensor* oaq_tensor_at(const TfLiteContext* context, int index);

// Elements of a shape; false where a dimension is negative or the count overflows.
bool oaq_count_elements(const TfLiteIntArray* dims, size_t* count);

// A shape for ResizeTensor, which frees it with free(); NULL where memory is out.
TfLiteIntArray* oaq_create_dims(int size);

#endif  // OAQ_TFLITE_TENSORS_H_
