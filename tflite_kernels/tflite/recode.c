// SPDX-License-Identifier: Apache-2.0
#include "tflite/recode.h"

#include <stdlib.h>
#include <string.h>

#include "tflite/builtin_ops.h"

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

bool oaq_recodes(int32_t builtin_code) {
  return builtin_code == kBuiltinQuantize || builtin_code == kBuiltinLeakyRelu;
}

static bool make_table(const OaqGraphNode* node, const OaqCodes* from, const OaqCodes* to,
                       OaqCodeTable* table, OaqError* error) {
  if (node->builtin_code == kBuiltinQuantize) return oaq_code_table_init(from, to, table, error);
  const TfLiteLeakyReluParams* params = node->node->builtin_data;
  if (params == NULL) return oaq_fail(error, "no options, expected alpha");
  if (from->is_signed != to->is_signed) {
    return oaq_fail(error, "input and output of two types, expected one");
  }
  return oaq_code_table_init_leaky_relu(from, to, params->alpha, table, error);
}

OaqRecode* oaq_recode_create(const TfLiteContext* context, const OaqGraphNode* node, OaqRange range,
                             const OaqPlanner* planner, OaqError* error) {
  const TfLiteTensor* input = NULL;
  const TfLiteTensor* output = NULL;
  OaqCodes from, to;
  OaqCodeTable table;
  if (!find_tensors(context, node->node, &input, &output, error) ||
      !oaq_tensor_codes(input, &from, error) || !oaq_tensor_codes(output, &to, error) ||
      !make_table(node, &from, &to, &table, error)) {
    return NULL;
  }
  OaqRecode* op = malloc(sizeof(*op));
  if (op == NULL) {
    oaq_fail(error, "out of memory for a table of codes");
    return NULL;
  }
  *op = (OaqRecode){.input_index = node->node->inputs->data[0],
                    .output_index = node->node->outputs->data[0],
                    .range = from.is_signed ? range : oaq_codes_range(false),
                    .threads = planner->threads,
                    .look_up = planner->kernels->look_up,
                    .table = table};
  return op;
}

void oaq_recode_free(OaqRecode* op) { free(op); }

bool oaq_recode_prepare(OaqRecode* op, TfLiteContext* context, OaqError* error) {
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

bool oaq_recode_eval(const OaqRecode* op, const TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  const TfLiteTensor* output = oaq_tensor_at(context, op->output_index);
  if (op->size == 0) return true;
  if (!oaq_tensors_hold(input, op->size, output, op->size, error)) return false;
  oaq_code_table_run(&op->table, op->look_up, &op->split, op->threads, op->size, input->data.uint8,
                     output->data.uint8);
  return true;
}

const char* oaq_recode_reason(const OaqRecode* op) {
  switch (op->table.change) {
    case OAQ_CODES_KEPT:
      return "codes stay as they are";
    case OAQ_CODES_FLIPPED:
      return "top bits of the codes flipped";
    default:
      return "codes by table";
  }
}
