// SPDX-License-Identifier: Apache-2.0
#include "tflite/ranges.h"

#include <stdlib.h>

#include "core/code_table.h"
#include "core/size.h"
#include "tflite/op.h"

// All that the rules below need to know.
typedef struct Graph {
  const TfLiteContext* context;
  OaqRange* ranges;          // of the tensors written so far
  const uint8_t* producers;  // how many nodes write a tensor, at most 2
} Graph;

enum { kMostAveraged = 1 << 23 };

static OaqRange unite(OaqRange a, OaqRange b) {
  return (OaqRange){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

OaqKind oaq_node_kind(const OaqGraphNode* node, bool* custom) {
  *custom = node->builtin_code == kBuiltinCustom;
  switch (node->builtin_code) {
    case kBuiltinConv2d:
      return OAQ_CONV_2D;
    case kBuiltinDepthwiseConv2d:
      return OAQ_DEPTHWISE_CONV_2D;
    case kBuiltinFullyConnected:
      return OAQ_FULLY_CONNECTED;
    case kBuiltinTransposeConv:
      return OAQ_TRANSPOSE_CONV;
    case kBuiltinCustom:
      return oaq_kind_of_custom(node->custom_name);
    default:
      return OAQ_KIND_NONE;
  }
}

static bool builtin_options(OaqKind kind, const void* data, int version, OaqOptions* options,
                            OaqError* error) {
  *options = (OaqOptions){.kind = kind, .output_lo = INT8_MIN, .output_hi = INT8_MAX};
  if (data == NULL) return oaq_fail(error, "no options, expected those of the builtin op");
  int padding = kTfLitePaddingValid;
  if (kind == OAQ_CONV_2D) {
    const TfLiteConvParams* params = data;
    padding = params->padding;
    options->activation = params->activation;
    options->stride_h = params->stride_height;
    options->stride_w = params->stride_width;
    options->dilation_h = params->dilation_height_factor;
    options->dilation_w = params->dilation_width_factor;
  } else if (kind == OAQ_DEPTHWISE_CONV_2D) {
    const TfLiteDepthwiseConvParams* params = data;
    padding = params->padding;
    options->activation = params->activation;
    options->stride_h = params->stride_height;
    options->stride_w = params->stride_width;
    options->dilation_h = params->dilation_height_factor;
    options->dilation_w = params->dilation_width_factor;
  } else if (kind == OAQ_TRANSPOSE_CONV) {
    const TfLiteTransposeConvParams* params = data;
    padding = params->padding;
    if (version >= 4) options->activation = params->activation;
    options->stride_h = params->stride_height;
    options->stride_w = params->stride_width;
    options->dilation_h = options->dilation_w = 1;
  } else {
    const TfLiteFullyConnectedParams* params = data;
    options->activation = params->activation;
    options->keep_num_dims = params->keep_num_dims ? 1 : 0;
    if (params->weights_format != 0) {
      return oaq_fail(error, "shuffled weights (format %d), expected the default order",
                      params->weights_format);
    }
  }
  if (padding != kTfLitePaddingSame && padding != kTfLitePaddingValid) {
    return oaq_fail(error, "padding %d, expected SAME (1) or VALID (2)", padding);
  }
  options->padding = padding - kTfLitePaddingSame;
  if (options->activation < 0 || options->activation > OAQ_ACTIVATION_RELU6) {
    return oaq_fail(error, "fused activation %d, expected NONE, RELU, RELU_N1_TO_1 or RELU6",
                    options->activation);
  }
  if (kind != OAQ_FULLY_CONNECTED && (options->stride_h < 1 || options->stride_w < 1 ||
                                      options->dilation_h < 1 || options->dilation_w < 1)) {
    return oaq_fail(error, "strides %d, %d and dilations %d, %d, expected 1 or more",
                    options->stride_h, options->stride_w, options->dilation_h, options->dilation_w);
  }
  return true;
}

bool oaq_node_options(const OaqGraphNode* node, OaqOptions* options, OaqError* error) {
  bool custom = false;
  const OaqKind kind = oaq_node_kind(node, &custom);
  if (kind == OAQ_KIND_NONE) return false;
  if (!custom)
    return builtin_options(kind, node->node->builtin_data, node->version, options, error);
  const int size = node->node->custom_initial_data_size;
  return oaq_options_read(kind, node->node->custom_initial_data, size > 0 ? (size_t)size : 0,
                          options, error);
}

static OaqRange constant_range(const TfLiteTensor* tensor) {
  OaqRange range = {INT8_MAX, INT8_MIN};
  for (size_t i = 0; i < tensor->bytes; ++i) {
    const int8_t code = tensor->data.int8[i];
    if (code < range.lo) range.lo = code;
    if (code > range.hi) range.hi = code;
  }
  return tensor->bytes > 0 ? range : oaq_unknown_range;
}

static OaqRange tensor_range(const Graph* graph, int index) {
  const TfLiteTensor* tensor = oaq_tensor_at(graph->context, index);
  if (tensor == NULL || tensor->type != kTfLiteInt8) return oaq_unknown_range;
  if (graph->producers[index] == 1) return graph->ranges[index];
  const bool constant = graph->producers[index] == 0 && tensor->data.raw != NULL &&
                        tensor->allocation_type == kTfLiteMmapRo;
  return constant ? constant_range(tensor) : oaq_unknown_range;
}

static bool same_quantization(const TfLiteTensor* a, const TfLiteTensor* b) {
  return a != NULL && b != NULL && a->type == kTfLiteInt8 && b->type == kTfLiteInt8 &&
         a->params.scale == b->params.scale && a->params.zero_point == b->params.zero_point;
}

// What a fused activation leaves of `range`; the op clamps its result.
static OaqRange activate(OaqRange range, int activation, const TfLiteTensor* output) {
  OaqRange limits;
  if (activation < OAQ_ACTIVATION_NONE || activation > OAQ_ACTIVATION_RELU6) return range;
  if (!oaq_activation_range((OaqActivation)activation, output->params.scale,
                            output->params.zero_point, &limits.lo, &limits.hi)) {
    return oaq_unknown_range;
  }
  const int32_t lo = range.lo < limits.lo ? limits.lo : range.lo;
  const int32_t hi = range.hi > limits.hi ? limits.hi : range.hi;
  return lo <= hi ? (OaqRange){lo, hi} : limits;
}

static OaqRange elementwise_range(const OaqGraphNode* node, const TfLiteTensor* output) {
  const TfLiteElementwiseParams* params = node->node->builtin_data;
  return params == NULL ? oaq_unknown_range
                        : activate(oaq_unknown_range, params->activation, output);
}

// The range of input `which`, where it has the output's quantization.
static OaqRange passed_range(const Graph* graph, const OaqGraphNode* node, int which,
                             const TfLiteTensor* output) {
  const TfLiteIntArray* inputs = node->node->inputs;
  if (which >= inputs->size) return oaq_unknown_range;
  const TfLiteTensor* input = oaq_tensor_at(graph->context, inputs->data[which]);
  return same_quantization(input, output) ? tensor_range(graph, inputs->data[which])
                                          : oaq_unknown_range;
}

static OaqRange padded_range(const Graph* graph, const OaqGraphNode* node,
                             const TfLiteTensor* output) {
  const int32_t zero = output->params.zero_point;
  return unite(passed_range(graph, node, 0, output), (OaqRange){zero, zero});
}

static OaqRange pooled_range(const Graph* graph, const OaqGraphNode* node,
                             const TfLiteTensor* output) {
  const TfLitePoolParams* params = node->node->builtin_data;
  if (params == NULL) return oaq_unknown_range;
  // The runtime's int32 sum of more codes may wrap.
  const int64_t averaged = (int64_t)params->filter_width * params->filter_height;
  const bool sound = node->builtin_code == kBuiltinMaxPool2d || averaged <= kMostAveraged;
  return activate(sound ? passed_range(graph, node, 0, output) : oaq_unknown_range,
                  params->activation, output);
}

static OaqRange united_range(const Graph* graph, const OaqGraphNode* node,
                             const TfLiteTensor* output) {
  const TfLiteIntArray* inputs = node->node->inputs;
  if (inputs->size < 1) return oaq_unknown_range;
  OaqRange range = passed_range(graph, node, 0, output);
  for (int i = 1; i < inputs->size; ++i) {
    range = unite(range, passed_range(graph, node, i, output));
  }
  return range;
}

static OaqRange extremum_range(const Graph* graph, const OaqGraphNode* node,
                               const TfLiteTensor* output, bool maximum) {
  const TfLiteIntArray* inputs = node->node->inputs;
  if (inputs->size != 2) return oaq_unknown_range;
  for (int i = 0; i < 2; ++i) {
    if (!same_quantization(oaq_tensor_at(graph->context, inputs->data[i]), output)) {
      return oaq_unknown_range;
    }
  }
  const OaqRange a = tensor_range(graph, inputs->data[0]);
  const OaqRange b = tensor_range(graph, inputs->data[1]);
  if (maximum) return (OaqRange){a.lo > b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
  return (OaqRange){a.lo < b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi};
}

// What QUANTIZE makes of the input's range. Whoever runs it: XNNPACK multiplies by eight bits
// behind the point, so that it is up to a code off where it does not multiply by 1.
static OaqRange requantized_range(const Graph* graph, const OaqGraphNode* node,
                                  const TfLiteTensor* output) {
  const TfLiteIntArray* inputs = node->node->inputs;
  const bool usual = inputs->size == 1 && node->node->outputs->size == 1;
  const TfLiteTensor* input = usual ? oaq_tensor_at(graph->context, inputs->data[0]) : NULL;
  OaqCodes from, to;
  OaqCodeTable table;
  if (input == NULL || !oaq_tensor_codes(input, &from, NULL) ||
      !oaq_tensor_codes(output, &to, NULL) || !oaq_code_table_init(&from, &to, &table, NULL)) {
    return oaq_unknown_range;
  }
  const OaqRange given =
      from.is_signed ? tensor_range(graph, inputs->data[0]) : oaq_codes_range(false);
  const OaqRange range = oaq_code_table_range(&table, given);
  const int32_t off = from.scale == to.scale ? 0 : 1;
  return (OaqRange){oaq_clamp(range.lo - off, INT8_MIN, INT8_MAX),
                    oaq_clamp(range.hi + off, INT8_MIN, INT8_MAX)};
}

static OaqRange own_range(const OaqGraphNode* node, const TfLiteTensor* output) {
  OaqOptions options;
  OaqRange range;
  if (!oaq_node_options(node, &options, NULL)) return oaq_unknown_range;
  return oaq_op_output_range(&options, output, &range) ? range : oaq_unknown_range;
}

static OaqRange output_range(const Graph* graph, const OaqGraphNode* node,
                             const TfLiteTensor* output) {
  switch (node->builtin_code) {
    case kBuiltinConv2d:
    case kBuiltinDepthwiseConv2d:
    case kBuiltinFullyConnected:
    case kBuiltinTransposeConv:
    case kBuiltinCustom:
      return own_range(node, output);
    case kBuiltinQuantize:
      return requantized_range(graph, node, output);
    case kBuiltinAdd:
    case kBuiltinSub:
    case kBuiltinMul:
      return elementwise_range(node, output);
    case kBuiltinRelu:
      return activate(oaq_unknown_range, OAQ_ACTIVATION_RELU, output);
    case kBuiltinReluN1To1:
      return activate(oaq_unknown_range, OAQ_ACTIVATION_RELU_N1_TO_1, output);
    case kBuiltinRelu6:
      return activate(oaq_unknown_range, OAQ_ACTIVATION_RELU6, output);
    case kBuiltinMaxPool2d:
    case kBuiltinAveragePool2d:
      return pooled_range(graph, node, output);
    case kBuiltinReshape:
    case kBuiltinSqueeze:
    case kBuiltinExpandDims:
    case kBuiltinTranspose:
    case kBuiltinStridedSlice:
    case kBuiltinSlice:
    case kBuiltinSplitV:
    case kBuiltinGather:
    case kBuiltinSpaceToDepth:
    case kBuiltinDepthToSpace:
    case kBuiltinBatchToSpaceNd:
    case kBuiltinResizeNearestNeighbor:
    case kBuiltinTile:
    case kBuiltinBroadcastTo:
      return passed_range(graph, node, 0, output);
    case kBuiltinSplit:
      return passed_range(graph, node, 1, output);
    case kBuiltinSpaceToBatchNd:
    case kBuiltinPad:
    case kBuiltinMirrorPad:
      return padded_range(graph, node, output);
    case kBuiltinConcatenation:
    case kBuiltinPack:
      return united_range(graph, node, output);
    case kBuiltinMaximum:
    case kBuiltinMinimum:
      return extremum_range(graph, node, output, node->builtin_code == kBuiltinMaximum);
    default:
      return oaq_unknown_range;
  }
}

// The rules assume a zero point among the codes and a scale, as every int8 tensor that TFLite's
// kernels accept has.
static bool has_code_range(const TfLiteTensor* tensor) {
  return tensor->type == kTfLiteInt8 && tensor->params.scale > 0 &&
         tensor->params.zero_point >= INT8_MIN && tensor->params.zero_point <= INT8_MAX;
}

// Being a constant or a variable counts, once some node writes the tensor as well.
static void count_producers(const TfLiteContext* context, const OaqGraphNode* nodes, size_t count,
                            uint8_t* producers) {
  for (size_t n = 0; n < count; ++n) {
    const TfLiteIntArray* outputs = nodes[n].node->outputs;
    for (int i = 0; i < outputs->size; ++i) {
      const TfLiteTensor* output = oaq_tensor_at(context, outputs->data[i]);
      if (output == NULL) continue;
      const bool written_once = producers[outputs->data[i]] == 0 && !output->is_variable &&
                                output->allocation_type != kTfLiteMmapRo;
      producers[outputs->data[i]] = written_once ? 1 : 2;
    }
  }
}

// A tensor that a node reads before another writes it is unknown: it holds what the arena held.
static void walk(const Graph* graph, const OaqGraphNode* nodes, size_t count, OaqRange* ranges,
                 OaqRange* found) {
  for (size_t n = 0; n < count; ++n) {
    const TfLiteNode* node = nodes[n].node;
    bool custom = false;
    const int input = oaq_input_position(oaq_node_kind(&nodes[n], &custom));
    found[n] = input < node->inputs->size ? tensor_range(graph, node->inputs->data[input])
                                          : oaq_unknown_range;
    for (int i = 0; i < node->outputs->size; ++i) {
      const int index = node->outputs->data[i];
      const TfLiteTensor* output = oaq_tensor_at(graph->context, index);
      if (output == NULL || !has_code_range(output) || graph->producers[index] != 1) continue;
      ranges[index] = output_range(graph, &nodes[n], output);
    }
  }
}

OaqRange* oaq_find_input_ranges(const TfLiteContext* context, const OaqGraphNode* nodes,
                                size_t count) {
  const size_t tensors = context->tensors_size;
  OaqRange* found = calloc(count + 1, sizeof(*found));
  OaqRange* ranges = calloc(tensors + 1, sizeof(*ranges));
  uint8_t* producers = calloc(tensors + 1, sizeof(*producers));
  if (found != NULL && ranges != NULL && producers != NULL) {
    for (size_t t = 0; t < tensors; ++t) ranges[t] = oaq_unknown_range;
    count_producers(context, nodes, count, producers);
    const Graph graph = {context, ranges, producers};
    walk(&graph, nodes, count, ranges, found);
  } else {
    free(found);
    found = NULL;
  }
  free(ranges);
  free(producers);
  return found;
}
