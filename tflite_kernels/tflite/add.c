// SPDX-License-Identifier: Apache-2.0
#include "tflite/add.h"

#include <stdlib.h>
#include <string.h>

static bool check_arity(const TfLiteNode* node, OaqError* error) {
  const TfLiteIntArray* inputs = node->inputs;
  const TfLiteIntArray* outputs = node->outputs;
  if (inputs == NULL || outputs == NULL || inputs->size != 2 || outputs->size != 1) {
    return oaq_fail(error, "%d inputs and %d outputs, expected two and one",
                    inputs != NULL ? inputs->size : 0, outputs != NULL ? outputs->size : 0);
  }
  if (node->builtin_data == NULL) {
    return oaq_fail(error, "no options, expected those of the builtin op");
  }
  return true;
}

static bool same_shape(const TfLiteTensor* a, const TfLiteTensor* b) {
  return a->dims != NULL && b->dims != NULL && a->dims->size == b->dims->size &&
         memcmp(a->dims->data, b->dims->data, (size_t)a->dims->size * sizeof(int)) == 0;
}

static bool int8_codes(const TfLiteTensor* tensor, OaqCodes* codes, OaqError* error) {
  if (tensor == NULL) {
    return oaq_fail(error, "a tensor index is not in the model; the file is damaged");
  }
  if (!oaq_tensor_codes(tensor, codes, error)) return false;
  return codes->is_signed ||
         oaq_fail(error, "tensor '%.120s' is uint8, expected int8", oaq_tensor_name(tensor));
}

static bool find_params(const TfLiteContext* context, const TfLiteNode* node, OaqAddParams* params,
                        OaqError* error) {
  if (!check_arity(node, error)) return false;
  const TfLiteTensor* output = oaq_tensor_at(context, node->outputs->data[0]);
  OaqCodes codes;
  if (!int8_codes(output, &codes, error)) return false;
  params->output_scale = codes.scale;
  params->output_zero_point = codes.zero_point;
  for (int i = 0; i < 2; ++i) {
    const TfLiteTensor* input = oaq_tensor_at(context, node->inputs->data[i]);
    if (!int8_codes(input, &codes, error) || !oaq_tensor_check_output(output, input, error)) {
      return false;
    }
    if (input->sparsity != NULL) {
      return oaq_fail(error, "tensor '%.120s' is sparse, expected dense codes",
                      oaq_tensor_name(input));
    }
    params->scales[i] = codes.scale;
    params->zero_points[i] = codes.zero_point;
  }
  const TfLiteElementwiseParams* options = node->builtin_data;
  if (options->activation < 0 || options->activation > OAQ_ACTIVATION_RELU6 ||
      !oaq_activation_range((OaqActivation)options->activation, output->params.scale,
                            output->params.zero_point, &params->lo, &params->hi)) {
    return oaq_fail(error, "fused activation %d, expected NONE, RELU, RELU_N1_TO_1 or RELU6",
                    options->activation);
  }
  return true;
}

OaqAddNode* oaq_add_node_create(const TfLiteContext* context, const TfLiteNode* node,
                                const OaqKernels* kernels, OaqThreads* threads, OaqError* error) {
  OaqAddParams params;
  if (!find_params(context, node, &params, error)) return NULL;
  OaqAddNode* made = calloc(1, sizeof(*made));
  if (made == NULL) {
    oaq_fail(error, "out of memory");
    return NULL;
  }
  if (!oaq_add_create(&params, kernels, threads, &made->core, error)) {
    free(made);
    return NULL;
  }
  made->input_indices[0] = node->inputs->data[0];
  made->input_indices[1] = node->inputs->data[1];
  made->output_index = node->outputs->data[0];
  return made;
}

void oaq_add_node_free(OaqAddNode* node) {
  if (node == NULL) return;
  oaq_add_free(&node->core);
  free(node);
}

bool oaq_add_node_prepare(OaqAddNode* node, TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* a = oaq_tensor_at(context, node->input_indices[0]);
  const TfLiteTensor* b = oaq_tensor_at(context, node->input_indices[1]);
  if (!same_shape(a, b)) {
    return oaq_fail(error, "inputs '%.120s' and '%.120s' are not of one shape", oaq_tensor_name(a),
                    oaq_tensor_name(b));
  }
  if (!oaq_count_elements(a->dims, &node->size)) {
    return oaq_fail(error, "input '%.120s' has a shape that is too large", oaq_tensor_name(a));
  }
  node->split = oaq_add_split(&node->core, node->size);
  TfLiteIntArray* dims = oaq_create_dims(a->dims->size);
  if (dims == NULL) return oaq_fail(error, "out of memory");
  memcpy(dims->data, a->dims->data, (size_t)dims->size * sizeof(int));
  TfLiteTensor* output = &context->tensors[node->output_index];
  if (context->ResizeTensor(context, output, dims) != kTfLiteOk) {
    return oaq_fail(error, "the runtime can't resize output '%.120s'", oaq_tensor_name(output));
  }
  return true;
}

bool oaq_add_node_eval(const OaqAddNode* node, const TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* a = oaq_tensor_at(context, node->input_indices[0]);
  const TfLiteTensor* b = oaq_tensor_at(context, node->input_indices[1]);
  const TfLiteTensor* output = oaq_tensor_at(context, node->output_index);
  if (node->size == 0) return true;
  if (!oaq_tensors_hold(a, node->size, output, node->size, error) ||
      !oaq_tensors_hold(b, node->size, output, node->size, error)) {
    return false;
  }
  oaq_add_run(&node->core, &node->split, node->size, a->data.int8, b->data.int8, output->data.int8);
  return true;
}

size_t oaq_add_node_bytes(const OaqAddNode* node) {
  return sizeof(*node) + oaq_add_bytes(&node->core);
}
