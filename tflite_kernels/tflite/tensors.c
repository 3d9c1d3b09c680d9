// SPDX-License-Identifier: Apache-2.0
#include "tflite/tensors.h"

#include <math.h>
#include <stdlib.h>

#include "core/size.h"

const char* oaq_tensor_name(const TfLiteTensor* tensor) {
  return tensor->name != NULL ? tensor->name : "";
}

const TfLiteTensor* oaq_tensor_at(const TfLiteContext* context, int index) {
  if (index < 0 || (size_t)index >= context->tensors_size) return NULL;
  return &context->tensors[index];
}

bool oaq_count_elements(const TfLiteIntArray* dims, size_t* count) {
  *count = 1;
  if (dims == NULL) return false;
  for (int i = 0; i < dims->size; ++i) {
    if (dims->data[i] < 0 || !oaq_size_multiply(*count, (size_t)dims->data[i], count)) return false;
  }
  return true;
}

TfLiteIntArray* oaq_create_dims(int size) {
  TfLiteIntArray* dims = malloc(sizeof(*dims) + (size_t)size * sizeof(int));
  if (dims != NULL) dims->size = size;
  return dims;
}

static const char* type_name(TfLiteType type) {
  switch (type) {
    case kTfLiteFloat32:
      return "float32";
    case kTfLiteInt32:
      return "int32";
    case kTfLiteUInt8:
      return "uint8";
    case kTfLiteInt64:
      return "int64";
    case kTfLiteInt16:
      return "int16";
    case kTfLiteInt8:
      return "int8";
    case kTfLiteFloat16:
      return "float16";
    case kTfLiteInt4:
      return "int4";
    default:
      return "of another type";
  }
}

static bool check_type(const TfLiteTensor* tensor, TfLiteType type, OaqError* error) {
  if (tensor->type == type) return true;
  return oaq_fail(error, "tensor '%.120s' is %s, expected %s", oaq_tensor_name(tensor),
                  type_name(tensor->type), type_name(type));
}

static bool check_constant(const TfLiteTensor* tensor, size_t element_size, OaqError* error) {
  if (tensor->allocation_type != kTfLiteMmapRo || tensor->data.raw == NULL) {
    return oaq_fail(error, "tensor '%.120s' is not constant; weights and bias have to be",
                    oaq_tensor_name(tensor));
  }
  if (tensor->sparsity != NULL) {
    return oaq_fail(error, "tensor '%.120s' is sparse, expected dense weights",
                    oaq_tensor_name(tensor));
  }
  size_t count = 0;
  size_t bytes = 0;
  if (!oaq_count_elements(tensor->dims, &count) ||
      !oaq_size_multiply(count, element_size, &bytes) || tensor->bytes < bytes) {
    return oaq_fail(error, "tensor '%.120s' holds %zu bytes, fewer than its shape needs",
                    oaq_tensor_name(tensor), tensor->bytes);
  }
  return true;
}

bool oaq_tensor_codes(const TfLiteTensor* tensor, OaqCodes* codes, OaqError* error) {
  if (tensor->type != kTfLiteInt8 && tensor->type != kTfLiteUInt8) {
    return oaq_fail(error, "tensor '%.120s' is %s, expected int8 or uint8", oaq_tensor_name(tensor),
                    type_name(tensor->type));
  }
  // Per-tensor quantization as TFLite's params mirror it.
  const float scale = tensor->params.scale;
  if (tensor->quantization.type != kTfLiteAffineQuantization || !isfinite(scale) || scale <= 0) {
    return oaq_fail(error, "tensor '%.120s' has scale %g, expected one finite scale above 0",
                    oaq_tensor_name(tensor), (double)scale);
  }
  const int32_t zero_point = tensor->params.zero_point;
  const OaqRange range = oaq_codes_range(tensor->type == kTfLiteInt8);
  if (zero_point < range.lo || zero_point > range.hi) {
    return oaq_fail(error, "tensor '%.120s' has zero point %d, expected %d to %d",
                    oaq_tensor_name(tensor), zero_point, range.lo, range.hi);
  }
  *codes = (OaqCodes){tensor->type == kTfLiteInt8, scale, zero_point};
  return true;
}

static bool check_activation(const TfLiteTensor* tensor, OaqError* error) {
  OaqCodes codes;
  return check_type(tensor, kTfLiteInt8, error) && oaq_tensor_codes(tensor, &codes, error);
}

bool oaq_tensor_check_output(const TfLiteTensor* output, const TfLiteTensor* input,
                             OaqError* error) {
  if (output != input && output->allocation_type != kTfLiteMmapRo) return true;
  return oaq_fail(error, "output '%.120s' is the input or a constant, expected a tensor of its own",
                  oaq_tensor_name(output));
}

bool oaq_tensors_hold(const TfLiteTensor* input, size_t input_size, const TfLiteTensor* output,
                      size_t output_size, OaqError* error) {
  if (input->data.raw != NULL && output->data.raw != NULL && input->bytes >= input_size &&
      output->bytes >= output_size) {
    return true;
  }
  return oaq_fail(error, "tensors '%.120s' and '%.120s' are not allocated for the op",
                  oaq_tensor_name(input), oaq_tensor_name(output));
}

static bool check_weights_quantization(const TfLiteTensor* weights, OaqKind kind, size_t channels,
                                       OaqError* error) {
  const char* name = oaq_tensor_name(weights);
  const TfLiteAffineQuantization* affine = weights->quantization.params;
  if (weights->quantization.type != kTfLiteAffineQuantization || affine == NULL ||
      affine->scale == NULL || affine->scale->size < 1) {
    return oaq_fail(error, "weights '%.120s' are not quantized; expected int8 with scales", name);
  }
  const size_t scales = (size_t)affine->scale->size;
  if (scales != 1 && scales != channels) {
    return oaq_fail(error, "weights '%.120s' have %zu scales, expected 1 or %zu", name, scales,
                    channels);
  }
  const int channel_dimension = kind == OAQ_DEPTHWISE_CONV_2D ? 3 : 0;
  if (scales > 1 && affine->quantized_dimension != channel_dimension) {
    return oaq_fail(error, "weights '%.120s' have scales along dimension %d, expected %d", name,
                    affine->quantized_dimension, channel_dimension);
  }
  for (size_t i = 0; i < scales; ++i) {
    const float scale = affine->scale->data[i];
    if (!isfinite(scale) || scale <= 0) {
      return oaq_fail(error, "weights '%.120s' have scale %g, expected a finite one above 0", name,
                      (double)scale);
    }
  }
  for (int i = 0; affine->zero_point != NULL && i < affine->zero_point->size; ++i) {
    if (affine->zero_point->data[i] != 0) {
      return oaq_fail(error, "weights '%.120s' have zero point %d, expected 0", name,
                      affine->zero_point->data[i]);
    }
  }
  return true;
}

static bool check_weights(const TfLiteTensor* weights, OaqKind kind, size_t* channels,
                          OaqError* error) {
  if (!check_type(weights, kTfLiteInt8, error) || !check_constant(weights, 1, error)) return false;
  const int rank = kind == OAQ_FULLY_CONNECTED ? 2 : 4;
  if (weights->dims->size != rank) {
    return oaq_fail(error, "weights '%.120s' have %d dimensions, expected %d",
                    oaq_tensor_name(weights), weights->dims->size, rank);
  }
  for (int i = 0; i < rank; ++i) {
    if (weights->dims->data[i] < 1) {
      return oaq_fail(error, "weights '%.120s' have dimension %d of %d, expected 1 or more",
                      oaq_tensor_name(weights), i, weights->dims->data[i]);
    }
  }
  if (kind == OAQ_DEPTHWISE_CONV_2D && weights->dims->data[0] != 1) {
    return oaq_fail(error, "weights '%.120s' have dimension 0 of %d, expected 1",
                    oaq_tensor_name(weights), weights->dims->data[0]);
  }
  *channels = (size_t)weights->dims->data[kind == OAQ_DEPTHWISE_CONV_2D ? 3 : 0];
  return check_weights_quantization(weights, kind, *channels, error);
}

static bool check_bias(const TfLiteTensor* bias, size_t channels, OaqError* error) {
  size_t count = 0;
  if (!check_type(bias, kTfLiteInt32, error) || !check_constant(bias, sizeof(int32_t), error)) {
    return false;
  }
  if (!oaq_count_elements(bias->dims, &count) || count != channels) {
    return oaq_fail(error, "bias '%.120s' has %zu elements, expected %zu", oaq_tensor_name(bias),
                    count, channels);
  }
  if (bias->params.zero_point != 0) {
    return oaq_fail(error, "bias '%.120s' has zero point %d, expected 0", oaq_tensor_name(bias),
                    bias->params.zero_point);
  }
  return true;
}

// A shape that is computed while the network runs is the runtime's to handle.
static bool check_output_shape(const TfLiteTensor* shape, OaqError* error) {
  size_t count = 0;
  if (shape == NULL) return oaq_fail(error, "no tensor with the output's shape");
  if (!check_type(shape, kTfLiteInt32, error)) return false;
  if (shape->allocation_type != kTfLiteMmapRo || shape->data.raw == NULL) {
    return oaq_fail(error, "output shape '%.120s' is not constant", oaq_tensor_name(shape));
  }
  if (!oaq_count_elements(shape->dims, &count) || count != 4 ||
      shape->bytes < 4 * sizeof(int32_t)) {
    return oaq_fail(error, "output shape '%.120s' has %zu elements, expected 4",
                    oaq_tensor_name(shape), count);
  }
  return true;
}

bool oaq_tensors_find(const TfLiteContext* context, const TfLiteIntArray* inputs,
                      const TfLiteIntArray* outputs, OaqKind kind, OaqTensors* tensors,
                      OaqError* error) {
  *tensors = (OaqTensors){0};
  const int position = oaq_input_position(kind);
  const int least = kind == OAQ_TRANSPOSE_CONV ? 3 : 2;
  if (inputs == NULL || outputs == NULL || inputs->size < least || inputs->size > least + 1 ||
      outputs->size != 1) {
    return oaq_fail(error, "%d inputs and %d outputs, expected %s, optional bias and one output",
                    inputs != NULL ? inputs->size : 0, outputs != NULL ? outputs->size : 0,
                    least == 3 ? "output shape, weights, input" : "input, weights");
  }
  tensors->input_index = inputs->data[position];
  tensors->output_index = outputs->data[0];
  tensors->input = oaq_tensor_at(context, tensors->input_index);
  tensors->weights = oaq_tensor_at(context, inputs->data[1]);
  tensors->output = oaq_tensor_at(context, outputs->data[0]);
  const bool has_bias = inputs->size > least && inputs->data[least] != kTfLiteOptionalTensor;
  if (has_bias) tensors->bias = oaq_tensor_at(context, inputs->data[least]);
  if (kind == OAQ_TRANSPOSE_CONV) {
    tensors->output_shape = oaq_tensor_at(context, inputs->data[0]);
    if (!check_output_shape(tensors->output_shape, error)) return false;
  }
  if (tensors->input == NULL || tensors->weights == NULL || tensors->output == NULL ||
      (has_bias && tensors->bias == NULL)) {
    return oaq_fail(error, "a tensor index is not in the model; the file is damaged");
  }
  return oaq_tensor_check_output(tensors->output, tensors->input, error) &&
         check_activation(tensors->input, error) && check_activation(tensors->output, error) &&
         check_weights(tensors->weights, kind, &tensors->output_channels, error) &&
         (!has_bias || check_bias(tensors->bias, tensors->output_channels, error));
}

// What TFLite's GetQuantizedConvolutionMultipler refuses for a FULLY_CONNECTED with one scale.
static bool check_bias_scale(const OaqTensors* tensors, float weight_scale, OaqError* error) {
  const double product = (double)tensors->input->params.scale * (double)weight_scale;
  const double bias_scale = tensors->bias->params.scale;
  if (fabs(product - bias_scale) / (double)tensors->output->params.scale <= 0.02) return true;
  return oaq_fail(error, "bias '%.120s' has scale %g, expected input times weights, %g",
                  oaq_tensor_name(tensors->bias), bias_scale, product);
}

bool oaq_tensors_multipliers(const OaqTensors* tensors, OaqKind kind, double* reals,
                             OaqError* error) {
  const TfLiteAffineQuantization* affine = tensors->weights->quantization.params;
  const bool per_channel = affine->scale->size > 1;
  if (kind == OAQ_FULLY_CONNECTED && !per_channel && tensors->bias != NULL &&
      !check_bias_scale(tensors, affine->scale->data[0], error)) {
    return false;
  }
  for (size_t c = 0; c < tensors->output_channels; ++c) {
    const double weight_scale = affine->scale->data[per_channel ? c : 0];
    reals[c] =
        (double)tensors->input->params.scale * weight_scale / (double)tensors->output->params.scale;
  }
  return true;
}
