// SPDX-License-Identifier: Apache-2.0
#include "tflite/op.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

bool oaq_op_output_range(const OaqOptions* options, const TfLiteTensor* output, OaqRange* range) {
  if (!oaq_activation_range((OaqActivation)options->activation, output->params.scale,
                            output->params.zero_point, &range->lo, &range->hi)) {
    return false;
  }
  range->lo = oaq_clamp(range->lo, options->output_lo, options->output_hi);
  range->hi = oaq_clamp(range->hi, options->output_lo, options->output_hi);
  return true;
}

// Whether codes that are not the input's meet weights: those of the zero point.
static bool pads(const OaqOptions* options) {
  if (options->kind == OAQ_TRANSPOSE_CONV) return true;
  return options->kind != OAQ_FULLY_CONNECTED && options->padding == OAQ_PADDING_SAME;
}

static OaqRange widen(OaqRange range, int32_t code) {
  if (code < range.lo) range.lo = code;
  if (code > range.hi) range.hi = code;
  return range;
}

static OaqWindow window(const OaqOptions* options, int32_t filter, bool height) {
  return (OaqWindow){.filter = filter,
                     .stride = height ? options->stride_h : options->stride_w,
                     .dilation = height ? options->dilation_h : options->dilation_w,
                     .padding = (OaqPadding)options->padding};
}

static bool check_input_rank(const OaqTensors* tensors, OaqError* error) {
  const TfLiteIntArray* dims = tensors->input->dims;
  if (dims == NULL || dims->size != 4 || dims->data[3] < 1) {
    return oaq_fail(error,
                    "input '%.120s' has %d dimensions, expected batch, height, width, channels",
                    oaq_tensor_name(tensors->input), dims != NULL ? dims->size : 0);
  }
  return true;
}

static bool create_conv_2d(OaqOp* op, const OaqTensors* tensors, const OaqRequantize* requantize,
                           const OaqPlanner* planner, OaqError* error) {
  if (!check_input_rank(tensors, error)) return false;
  const int* filter = tensors->weights->dims->data;
  const int input_channels = tensors->input->dims->data[3];
  const int groups = input_channels / filter[3];
  if (input_channels % filter[3] != 0 || filter[0] % groups != 0) {
    return oaq_fail(error,
                    "input '%.120s' has %d channels, weights take %d and give %d; expected groups "
                    "that divide all of them",
                    oaq_tensor_name(tensors->input), input_channels, filter[3], filter[0]);
  }
  const OaqConv2dParams params = {.height = window(&op->options, filter[1], true),
                                  .width = window(&op->options, filter[2], false),
                                  .input_channels = (size_t)input_channels,
                                  .output_channels = (size_t)filter[0],
                                  .groups = (size_t)groups,
                                  .input_zero_point = tensors->input->params.zero_point,
                                  .input_range = op->range,
                                  .requantize = *requantize};
  return oaq_conv_2d_create(&params, tensors->weights->data.int8,
                            tensors->bias != NULL ? tensors->bias->data.raw : NULL, planner,
                            &op->core.conv_2d, error);
}

static bool create_depthwise_conv_2d(OaqOp* op, const OaqTensors* tensors,
                                     const OaqRequantize* requantize, const OaqPlanner* planner,
                                     OaqError* error) {
  if (!check_input_rank(tensors, error)) return false;
  const int* filter = tensors->weights->dims->data;
  const int input_channels = tensors->input->dims->data[3];
  const int multiplier = filter[3] / input_channels;
  // Builtin ops carry 0 here: runtimes ignore their option and go by the shapes.
  const int claimed = op->options.depth_multiplier;
  if (filter[3] % input_channels != 0 || (claimed != 0 && claimed != multiplier)) {
    return oaq_fail(error,
                    "depth multiplier %d with %d input channels '%.120s' and %d filters; expected "
                    "their product to match",
                    claimed, input_channels, oaq_tensor_name(tensors->input), filter[3]);
  }
  const OaqDepthwiseConv2dParams params = {.height = window(&op->options, filter[1], true),
                                           .width = window(&op->options, filter[2], false),
                                           .input_channels = (size_t)input_channels,
                                           .depth_multiplier = (size_t)multiplier,
                                           .input_zero_point = tensors->input->params.zero_point,
                                           .input_range = op->range,
                                           .requantize = *requantize};
  return oaq_depthwise_conv_2d_create(&params, tensors->weights->data.int8,
                                      tensors->bias != NULL ? tensors->bias->data.raw : NULL,
                                      planner, &op->core.depthwise_conv_2d, error);
}

static bool create_transpose_conv(OaqOp* op, const OaqTensors* tensors,
                                  const OaqRequantize* requantize, const OaqPlanner* planner,
                                  OaqError* error) {
  if (!check_input_rank(tensors, error)) return false;
  const int* filter = tensors->weights->dims->data;
  const int input_channels = tensors->input->dims->data[3];
  if (input_channels != filter[3]) {
    return oaq_fail(error, "input '%.120s' has %d channels, weights take %d",
                    oaq_tensor_name(tensors->input), input_channels, filter[3]);
  }
  int32_t shape[4];
  memcpy(shape, tensors->output_shape->data.raw, sizeof(shape));
  const bool valid = op->options.padding == OAQ_PADDING_VALID;
  if (shape[1] < (valid ? filter[1] : 1) || shape[2] < (valid ? filter[2] : 1) ||
      shape[3] != filter[0]) {
    return oaq_fail(error,
                    "output of %d by %d by %d, which a filter of %d by %d to %d does not give",
                    shape[1], shape[2], shape[3], filter[1], filter[2], filter[0]);
  }
  OaqTransposeConvParams params = {.height = window(&op->options, filter[1], true),
                                   .width = window(&op->options, filter[2], false),
                                   .output_height = shape[1],
                                   .output_width = shape[2],
                                   .input_channels = (size_t)input_channels,
                                   .output_channels = (size_t)filter[0],
                                   .input_zero_point = tensors->input->params.zero_point,
                                   .input_range = op->range,
                                   .requantize = *requantize};
  params.height.dilation = params.width.dilation = 1;
  op->output_batch = shape[0];
  return oaq_transpose_conv_create(&params, tensors->weights->data.int8,
                                   tensors->bias != NULL ? tensors->bias->data.raw : NULL, planner,
                                   &op->core.transpose_conv, error);
}

static bool create_fully_connected(OaqOp* op, const OaqTensors* tensors,
                                   const OaqRequantize* requantize, const OaqPlanner* planner,
                                   OaqError* error) {
  const OaqFullyConnectedParams params = {.products = (size_t)tensors->weights->dims->data[1],
                                          .channels = (size_t)tensors->weights->dims->data[0],
                                          .input_zero_point = tensors->input->params.zero_point,
                                          .input_range = op->range,
                                          .requantize = *requantize};
  return oaq_fully_connected_create(&params, tensors->weights->data.int8,
                                    tensors->bias != NULL ? tensors->bias->data.raw : NULL, planner,
                                    &op->core.fully_connected, error);
}

// Multipliers of the output channels: real, and in fixed point for the convolutions.
typedef struct Multipliers {
  double* reals;
  OaqMultiplier* fixed;
} Multipliers;

static bool find_multipliers(const OaqOp* op, const OaqTensors* tensors,
                             const Multipliers* multipliers, OaqError* error) {
  if (!oaq_tensors_multipliers(tensors, op->options.kind, multipliers->reals, error)) return false;
  for (size_t c = 0; c < tensors->output_channels; ++c) {
    OaqError cause;
    if (!oaq_quantize_multiplier(multipliers->reals[c], &multipliers->fixed[c], &cause)) {
      return oaq_fail(error, "output '%.120s', channel %zu: %s", oaq_tensor_name(tensors->output),
                      c, cause.text);
    }
  }
  return true;
}

// False leaves nothing to free. The multipliers are not needed afterwards.
static bool create_core(OaqOp* op, const OaqTensors* tensors, const Multipliers* multipliers,
                        const OaqPlanner* planner, OaqError* error) {
  OaqRange output;
  if (!find_multipliers(op, tensors, multipliers, error)) return false;
  if (!oaq_op_output_range(&op->options, tensors->output, &output)) {
    return oaq_fail(error, "output '%.120s' has scale %g, too small for its activation",
                    oaq_tensor_name(tensors->output), (double)tensors->output->params.scale);
  }
  const OaqRequantize requantize = {
      .channels = op->options.kind == OAQ_FULLY_CONNECTED ? NULL : multipliers->fixed,
      .reals = multipliers->reals,
      .zero_point = tensors->output->params.zero_point,
      .lo = output.lo,
      .hi = output.hi};
  switch (op->options.kind) {
    case OAQ_CONV_2D:
      return create_conv_2d(op, tensors, &requantize, planner, error);
    case OAQ_DEPTHWISE_CONV_2D:
      return create_depthwise_conv_2d(op, tensors, &requantize, planner, error);
    case OAQ_TRANSPOSE_CONV:
      return create_transpose_conv(op, tensors, &requantize, planner, error);
    default:
      return create_fully_connected(op, tensors, &requantize, planner, error);
  }
}

OaqOp* oaq_op_create(const TfLiteContext* context, const TfLiteIntArray* inputs,
                     const TfLiteIntArray* outputs, const OaqOptions* options, OaqRange range,
                     bool check_range, const OaqPlanner* planner, OaqError* error) {
  OaqTensors tensors;
  if (!oaq_tensors_find(context, inputs, outputs, options->kind, &tensors, error)) return NULL;
  const size_t channels = tensors.output_channels;
  OaqOp* op = calloc(1, sizeof(*op));
  const Multipliers multipliers = {.reals = calloc(channels, sizeof(double)),
                                   .fixed = calloc(channels, sizeof(OaqMultiplier))};
  bool created = op != NULL && multipliers.reals != NULL && multipliers.fixed != NULL;
  if (created) {
    op->options = *options;
    op->input_index = tensors.input_index;
    op->output_index = tensors.output_index;
    op->range = pads(options) ? widen(range, tensors.input->params.zero_point) : range;
    op->check_range = check_range;
    created = oaq_count_elements(tensors.weights->dims, &op->weights_size);
    OaqPlanner own = *planner;
    own.any_codes = check_range;
    created = created && create_core(op, &tensors, &multipliers, &own, error);
  } else {
    oaq_fail(error, "out of memory for an op with %zu channels", channels);
  }
  free(multipliers.reals);
  free(multipliers.fixed);
  if (created) return op;
  free(op);
  return NULL;
}

void oaq_op_free(OaqOp* op) {
  if (op == NULL) return;
  switch (op->options.kind) {
    case OAQ_CONV_2D:
      oaq_conv_2d_free(&op->core.conv_2d);
      break;
    case OAQ_DEPTHWISE_CONV_2D:
      oaq_depthwise_conv_2d_free(&op->core.depthwise_conv_2d);
      break;
    case OAQ_TRANSPOSE_CONV:
      oaq_transpose_conv_free(&op->core.transpose_conv);
      break;
    default:
      oaq_fully_connected_free(&op->core.fully_connected);
      break;
  }
  free(op);
}

const OaqPlanSummary* oaq_op_summary(const OaqOp* op) {
  switch (op->options.kind) {
    case OAQ_CONV_2D:
      return &op->core.conv_2d.summary;
    case OAQ_DEPTHWISE_CONV_2D:
      return &op->core.depthwise_conv_2d.summary;
    case OAQ_TRANSPOSE_CONV:
      return &op->core.transpose_conv.summary;
    default:
      return &op->core.fully_connected.summary;
  }
}

size_t oaq_op_bytes(const OaqOp* op) {
  switch (op->options.kind) {
    case OAQ_CONV_2D:
      return sizeof(*op) + oaq_conv_2d_bytes(&op->core.conv_2d);
    case OAQ_DEPTHWISE_CONV_2D:
      return sizeof(*op) + oaq_depthwise_conv_2d_bytes(&op->core.depthwise_conv_2d);
    case OAQ_TRANSPOSE_CONV:
      return sizeof(*op) + oaq_transpose_conv_bytes(&op->core.transpose_conv);
    default:
      return sizeof(*op) + oaq_fully_connected_bytes(&op->core.fully_connected);
  }
}

const OaqScratchUse* oaq_op_scratch(const OaqOp* op) {
  switch (op->options.kind) {
    case OAQ_CONV_2D:
      return &op->core.conv_2d.use;
    case OAQ_DEPTHWISE_CONV_2D:
      return &op->core.depthwise_conv_2d.use;
    case OAQ_TRANSPOSE_CONV:
      return &op->core.transpose_conv.use;
    default:
      return &op->core.fully_connected.use;
  }
}

const OaqLayout* oaq_op_layout(const OaqOp* op, bool* has_int16) {
  if (op->options.kind == OAQ_DEPTHWISE_CONV_2D) {
    *has_int16 = true;
    return op->core.depthwise_conv_2d.packed.layout;
  }
  const OaqGemm* gemm = op->options.kind == OAQ_CONV_2D ? op->core.conv_2d.gemm
                        : op->options.kind == OAQ_TRANSPOSE_CONV
                            ? op->core.transpose_conv.convs[0].gemm
                            : op->core.fully_connected.gemm;
  *has_int16 = gemm->i16 != NULL;
  return gemm->layout;
}

// Output shape of the convolutions; products in an output.
static bool reshape_windowed(OaqOp* op, const TfLiteTensor* input, TfLiteIntArray** output,
                             size_t* products, OaqError* error) {
  const int* dims = input->dims->data;
  const bool conv = op->options.kind == OAQ_CONV_2D;
  const size_t expected = conv ? op->core.conv_2d.params.input_channels
                               : op->core.depthwise_conv_2d.params.input_channels;
  if (input->dims->size != 4 || dims[3] < 0 || (size_t)dims[3] != expected) {
    return oaq_fail(error, "input '%.120s' no longer has 4 dimensions with %zu channels",
                    oaq_tensor_name(input), expected);
  }
  int32_t height = 0;
  int32_t width = 0;
  size_t channels = 0;
  if (conv) {
    OaqConv2d* core = &op->core.conv_2d;
    if (!oaq_conv_2d_reshape(core, dims[0], dims[1], dims[2], error)) return false;
    height = core->output_height;
    width = core->output_width;
    channels = core->params.output_channels;
    *products = core->groups[0].products;
  } else {
    OaqDepthwiseConv2d* core = &op->core.depthwise_conv_2d;
    if (!oaq_depthwise_conv_2d_reshape(core, dims[0], dims[1], dims[2], error)) return false;
    height = core->output_height;
    width = core->output_width;
    channels = core->packed.channels;
    *products = core->packed.products;
  }
  *output = oaq_create_dims(4);
  if (*output == NULL) return oaq_fail(error, "out of memory");
  (*output)->data[0] = dims[0];
  (*output)->data[1] = height;
  (*output)->data[2] = width;
  (*output)->data[3] = (int)channels;
  return true;
}

// The output's shape is constant; `products` are of an input.
static bool reshape_transpose_conv(OaqOp* op, const TfLiteTensor* input, TfLiteIntArray** output,
                                   size_t* products, OaqError* error) {
  OaqTransposeConv* core = &op->core.transpose_conv;
  const OaqTransposeConvParams* params = &core->params;
  const TfLiteIntArray* dims = input->dims;
  if (dims->size != 4 || dims->data[0] != op->output_batch || dims->data[3] < 0 ||
      (size_t)dims->data[3] != params->input_channels) {
    return oaq_fail(error, "input '%.120s' no longer has %d images with %zu channels",
                    oaq_tensor_name(input), op->output_batch, params->input_channels);
  }
  if (!oaq_transpose_conv_reshape(core, dims->data[0], dims->data[1], dims->data[2], error)) {
    return false;
  }
  *products =
      params->output_channels * (size_t)params->height.filter * (size_t)params->width.filter;
  *output = oaq_create_dims(4);
  if (*output == NULL) return oaq_fail(error, "out of memory");
  (*output)->data[0] = op->output_batch;
  (*output)->data[1] = params->output_height;
  (*output)->data[2] = params->output_width;
  (*output)->data[3] = (int)params->output_channels;
  return true;
}

static bool reshape_fully_connected(OaqOp* op, const TfLiteTensor* input, TfLiteIntArray** output,
                                    size_t* products, OaqError* error) {
  const OaqFullyConnectedParams* params = &op->core.fully_connected.params;
  const TfLiteIntArray* dims = input->dims;
  const bool keep = op->options.keep_num_dims != 0;
  const bool fits = dims->size >= 1 && op->input_size % params->products == 0 &&
                    (!keep || (size_t)dims->data[dims->size - 1] == params->products);
  if (!fits || op->input_size / params->products > INT32_MAX) {
    return oaq_fail(error, "input '%.120s' has %zu elements, expected rows of %zu",
                    oaq_tensor_name(input), op->input_size, params->products);
  }
  const size_t batch = op->input_size / params->products;
  if (!oaq_fully_connected_reshape(&op->core.fully_connected, batch, error)) return false;
  *products = params->products;
  *output = oaq_create_dims(keep ? dims->size : 2);
  if (*output == NULL) return oaq_fail(error, "out of memory");
  if (keep) {
    memcpy((*output)->data, dims->data, (size_t)dims->size * sizeof(int));
  } else {
    (*output)->data[0] = (int)batch;
  }
  (*output)->data[(*output)->size - 1] = (int)params->channels;
  return true;
}

bool oaq_op_prepare(OaqOp* op, TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  TfLiteTensor* output = &context->tensors[op->output_index];
  if (!oaq_count_elements(input->dims, &op->input_size)) {
    return oaq_fail(error, "input '%.120s' has a shape that is too large", oaq_tensor_name(input));
  }
  TfLiteIntArray* dims = NULL;
  size_t products = 0;
  const bool transposed = op->options.kind == OAQ_TRANSPOSE_CONV;
  const bool reshaped = transposed ? reshape_transpose_conv(op, input, &dims, &products, error)
                        : op->options.kind == OAQ_FULLY_CONNECTED
                            ? reshape_fully_connected(op, input, &dims, &products, error)
                            : reshape_windowed(op, input, &dims, &products, error);
  if (!reshaped) return false;
  if (!oaq_count_elements(dims, &op->output_size)) {
    free(dims);
    return oaq_fail(error, "output '%.120s' would be too large", oaq_tensor_name(output));
  }
  op->macs = (uint64_t)(transposed ? op->input_size : op->output_size) * products;
  if (context->ResizeTensor(context, output, dims) != kTfLiteOk) {
    return oaq_fail(error, "the runtime can't resize output '%.120s'", oaq_tensor_name(output));
  }
  return true;
}

static bool codes_within(const int8_t* codes, size_t count, OaqRange range) {
  int8_t lo = INT8_MAX;
  int8_t hi = INT8_MIN;
  for (size_t i = 0; i < count; ++i) {
    lo = codes[i] < lo ? codes[i] : lo;
    hi = codes[i] > hi ? codes[i] : hi;
  }
  return count == 0 || (lo >= range.lo && hi <= range.hi);
}

bool oaq_op_eval(OaqOp* op, TfLiteContext* context, OaqError* error) {
  const TfLiteTensor* input = oaq_tensor_at(context, op->input_index);
  const TfLiteTensor* output = oaq_tensor_at(context, op->output_index);
  if (op->output_size == 0) return true;
  if (!oaq_tensors_hold(input, op->input_size, output, op->output_size, error)) return false;
  const int8_t* codes = input->data.int8;
  const bool any_codes = op->check_range && !codes_within(codes, op->input_size, op->range);
  switch (op->options.kind) {
    case OAQ_CONV_2D:
      oaq_conv_2d_run(&op->core.conv_2d, codes, any_codes, output->data.int8);
      break;
    case OAQ_DEPTHWISE_CONV_2D:
      oaq_depthwise_conv_2d_run(&op->core.depthwise_conv_2d, codes, any_codes, output->data.int8);
      break;
    case OAQ_TRANSPOSE_CONV:
      oaq_transpose_conv_run(&op->core.transpose_conv, codes, any_codes, output->data.int8);
      break;
    default:
      oaq_fully_connected_run(&op->core.fully_connected, codes, any_codes, output->data.int8);
      break;
  }
  return true;
}
