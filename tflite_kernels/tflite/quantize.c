// SPDX-License-Identifier: Apache-2.0
#include "tflite/quantize.h"

#include <stdlib.h>
#include <string.h>

static bool find_tensors(const TfLiteContext* context, const TfLiteNode* node,
                         const TfLiteTensor** input, const TfLiteTensor** output, OaqError* error) {
  const TfLiteIntArray* inputs = node->inputs;
  const TfLiteIntArray* outputs = node->outputs;
  if (inputs == NULL || outputs == NULL || inputs->size != 1 || outputs->size != 1) {
    return oaq_fail(error, "%d inputs and %d outputs, expected one of each",
                    inputs != NULL ? inputs->size : 0, outputs != NULL ? outputs->size : 0);
  }
  *input = oaq_tensor_at(context, inputs->data[0]);
  *output = oaq_tensor_at(context, outputs->data[0]);
  if (*input == NULL || *output == NULL) {
    return oaq_fail(error, "a tensor index is not in the model; the file is damaged");
  }
  if ((*input)->sparsity != NULL) {
    return oaq_fail(error, "tensor '%.120s' is sparse, expected dense codes",
                    oaq_tensor_name(*input));
  }
  return oaq_tensor_check_output(*output, *input, error);
}

OaqQuantize* oaq_quantize_create(const TfLiteContext* context, const TfLiteNode* node,
                                 OaqRange range, OaqThreads* threads, OaqError* error) {
  const TfLiteTensor* input = NULL;
  const TfLiteTensor* output = NULL;
  OaqCodes from, to;
  OaqCodeTable table;
  if (!find_tensors(context, node, &input, &output, error) ||
      !oaq_tensor_codes(input, &from, error) || !oaq_tensor_codes(output, &to, error) ||
      !oaq_code_table_init(&from, &to, &table, error)) {
    return NULL;
  }
  OaqQuantize* op = malloc(sizeof(*op));
  if (op == NULL) {
    oaq_fail(error, "out of memory for a table of codes");
    return NULL;
  }
  *op = (OaqQuantize){.input_index = node->inputs->data[0],
                      .output_index = node->outputs->data[0],
                      .range = from.is_signed ? range : oaq_codes_range(false),
                      .threads = threads,
                      .table = table};
  return op;
}

void oaq_quantize_free(OaqQuantize* op) { free(op); }

bool oaq_quantize_prepare(OaqQuantize* op, TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  TfLiteTensor* output = &context->tensors[op->output_index];
  if (!oaq_count_elements(input->dims, &op->size)) {
    return oaq_fail(error, "input '%.120s' has a shape that is too large", oaq_tensor_name(input));
  }
  op->split = oaq_code_table_split(&op->table, op->threads, op->size);
  TfLiteIntArray* dims = oaq_create_dims(input->dims->size);
  if (dims == NULL) return oaq_fail(error, "out of memory");
  memcpy(dims->data, input->dims->data, (size_t)dims->size * sizeof(int));
  if (context->ResizeTensor(context, output, dims) != kTfLiteOk) {
    return oaq_fail(error, "the runtime can't resize output '%.120s'", oaq_tensor_name(output));
  }
  return true;
}

bool oaq_quantize_eval(const OaqQuantize* op, const TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  const TfLiteTensor* output = oaq_tensor_at(context, op->output_index);
  if (op->size == 0) return true;
  if (!oaq_tensors_hold(input, op->size, output, op->size, error)) return false;
  oaq_code_table_run(&op->table, &op->split, op->threads, op->size, input->data.uint8,
                     output->data.uint8);
  return true;
}

const char* oaq_quantize_reason(const OaqQuantize* op) {
  switch (op->table.change) {
    case OAQ_CODES_KEPT:
      return "codes stay as they are";
    case OAQ_CODES_FLIPPED:
      return "top bits of the codes flipped";
    default:
      return "codes by table";
  }
}
