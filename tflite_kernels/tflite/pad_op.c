// SPDX-License-Identifier: Apache-2.0
#include "tflite/pad_op.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

typedef struct Tensors {
  const TfLiteTensor *input, *paddings, *output;
} Tensors;

static bool find_tensors(const TfLiteContext* context, const TfLiteNode* node, Tensors* tensors,
                         OaqError* error) {
  const TfLiteIntArray* inputs = node->inputs;
  const TfLiteIntArray* outputs = node->outputs;
  if (inputs == NULL || outputs == NULL || inputs->size != 2 || outputs->size != 1) {
    return oaq_fail(error, "%d inputs and %d outputs, expected two and one",
                    inputs != NULL ? inputs->size : 0, outputs != NULL ? outputs->size : 0);
  }
  *tensors =
      (Tensors){oaq_tensor_at(context, inputs->data[0]), oaq_tensor_at(context, inputs->data[1]),
                oaq_tensor_at(context, outputs->data[0])};
  if (tensors->input == NULL || tensors->paddings == NULL || tensors->output == NULL) {
    return oaq_fail(error, "a tensor index is not in the model; the file is damaged");
  }
  if (tensors->input->sparsity != NULL) {
    return oaq_fail(error, "tensor '%.120s' is sparse, expected dense codes",
                    oaq_tensor_name(tensors->input));
  }
  return oaq_tensor_check_output(tensors->output, tensors->input, error);
}

static bool same_codes(const OaqCodes* a, const OaqCodes* b) {
  return a->is_signed == b->is_signed && a->zero_point == b->zero_point &&
         memcmp(&a->scale, &b->scale, sizeof(a->scale)) == 0;
}

// Constant int32 [rank][2], none negative.
static bool read_paddings(const TfLiteTensor* tensor, OaqPadOp* op, OaqError* error) {
  const TfLiteIntArray* dims = tensor->dims;
  const char* name = oaq_tensor_name(tensor);
  if (tensor->type != kTfLiteInt32 || tensor->allocation_type != kTfLiteMmapRo ||
      tensor->data.raw == NULL) {
    return oaq_fail(error, "paddings '%.120s' are no constant int32", name);
  }
  if (dims == NULL || dims->size != 2 || dims->data[0] < 1 || dims->data[0] > OAQ_PAD_DIMENSIONS ||
      dims->data[1] != 2 || tensor->bytes < (size_t)dims->data[0] * sizeof(op->paddings[0])) {
    return oaq_fail(error, "paddings '%.120s' are not of 1 to %d dimensions", name,
                    (int)OAQ_PAD_DIMENSIONS);
  }
  op->rank = dims->data[0];
  memcpy(op->paddings[OAQ_PAD_DIMENSIONS - op->rank], tensor->data.raw,
         (size_t)op->rank * sizeof(op->paddings[0]));
  for (size_t d = 0; d < OAQ_PAD_DIMENSIONS; ++d) {
    if (op->paddings[d][0] < 0 || op->paddings[d][1] < 0) {
      return oaq_fail(error, "paddings '%.120s' of %d and %d, expected 0 or more", name,
                      op->paddings[d][0], op->paddings[d][1]);
    }
  }
  return true;
}

OaqPadOp* oaq_pad_op_create(const TfLiteContext* context, const OaqGraphNode* node, OaqRange range,
                            OaqError* error) {
  Tensors tensors = {NULL, NULL, NULL};
  OaqCodes from, to;
  OaqPadOp made = {0};
  if (!find_tensors(context, node->node, &tensors, error) ||
      !oaq_tensor_codes(tensors.input, &from, error) ||
      !oaq_tensor_codes(tensors.output, &to, error) ||
      !read_paddings(tensors.paddings, &made, error)) {
    return NULL;
  }
  if (!same_codes(&from, &to)) {
    oaq_fail(error, "codes of '%.120s' and '%.120s' differ in type, scale or zero point",
             oaq_tensor_name(tensors.input), oaq_tensor_name(tensors.output));
    return NULL;
  }
  OaqPadOp* op = malloc(sizeof(*op));
  if (op == NULL) {
    oaq_fail(error, "out of memory for paddings");
    return NULL;
  }
  made.input_index = node->node->inputs->data[0];
  made.output_index = node->node->outputs->data[0];
  made.range = from.is_signed ? range : oaq_codes_range(false);
  made.pad.code = (uint8_t)from.zero_point;
  *op = made;
  return op;
}

void oaq_pad_op_free(OaqPadOp* op) { free(op); }

bool oaq_pad_op_prepare(OaqPadOp* op, TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  TfLiteTensor* output = &context->tensors[op->output_index];
  const TfLiteIntArray* given = input->dims;
  if (given == NULL || given->size != op->rank || !oaq_count_elements(given, &op->input_size)) {
    return oaq_fail(error,
                    "input '%.120s' has %d dimensions, paddings %d; or its shape is too large",
                    oaq_tensor_name(input), given != NULL ? given->size : 0, op->rank);
  }
  const size_t first = (size_t)(OAQ_PAD_DIMENSIONS - op->rank);
  int64_t sizes[OAQ_PAD_DIMENSIONS] = {1, 1, 1, 1};
  for (size_t d = 0; d < OAQ_PAD_DIMENSIONS; ++d) {
    const int64_t size = d < first ? 1 : given->data[d - first];
    sizes[d] = size + op->paddings[d][0] + op->paddings[d][1];
    op->pad.input[d] = (size_t)size;
    op->pad.before[d] = (size_t)op->paddings[d][0];
    op->pad.output[d] = (size_t)sizes[d];
    if (sizes[d] > INT32_MAX) {
      return oaq_fail(error, "output '%.120s' would be too large", oaq_tensor_name(output));
    }
  }
  TfLiteIntArray* dims = oaq_create_dims(op->rank);
  if (dims == NULL) return oaq_fail(error, "out of memory");
  for (size_t d = first; d < OAQ_PAD_DIMENSIONS; ++d) dims->data[d - first] = (int)sizes[d];
  if (!oaq_count_elements(dims, &op->output_size)) {
    free(dims);
    return oaq_fail(error, "output '%.120s' would be too large", oaq_tensor_name(output));
  }
  if (context->ResizeTensor(context, output, dims) != kTfLiteOk) {
    return oaq_fail(error, "the runtime can't resize output '%.120s'", oaq_tensor_name(output));
  }
  return true;
}

bool oaq_pad_op_eval(const OaqPadOp* op, const TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  const TfLiteTensor* output = oaq_tensor_at(context, op->output_index);
  if (op->output_size == 0) return true;
  // An input without elements need not have memory.
  if (op->input_size > 0 &&
      !oaq_tensors_hold(input, op->input_size, output, op->output_size, error)) {
    return false;
  }
  if (!oaq_tensors_hold(output, op->output_size, output, op->output_size, error)) return false;
  oaq_pad_run(&op->pad, input->data.uint8, output->data.uint8);
  return true;
}
