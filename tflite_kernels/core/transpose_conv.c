// SPDX-License-Identifier: Apache-2.0
#include "core/transpose_conv.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

// Each is packed and padded by itself: more would take far more memory than the filter has.
enum { kMostPhases = 1024 };

// Output rows first, first + stride, ...; the k-th meets filter rows phase, phase + stride, ...
// (taps of them) at input rows base + k, base + k - 1, ...
typedef struct Phase {
  int32_t phase, taps, first, base;
} Phase;

// Neighbouring phases of one axis, as a convolution that slides along it: its output k is an
// element of each, and meets `taps` input elements from `lowest` + k on.
typedef struct Axis {
  const OaqWindow* window;
  int32_t padding;
  int32_t begin, end;  // phases
  int32_t lowest, taps;
  OaqPlacementAxis placement;
} Axis;

static Phase phase_at(const OaqWindow* window, int32_t padding, int32_t phase) {
  const int64_t stride = window->stride;
  // The first row r >= 0 with (r + padding) % stride == phase.
  const int64_t first = ((phase - padding) % stride + stride) % stride;
  return (Phase){.phase = phase,
                 .taps = (int32_t)((window->filter - phase + stride - 1) / stride),
                 .first = (int32_t)first,
                 .base = (int32_t)((first + padding - phase) / stride)};
}

// Of phase `begin` alone, or of all.
static Axis make_axis(const OaqWindow* window, int32_t output, int32_t padding, int32_t begin,
                      bool all) {
  Axis axis = {window, padding, begin, all ? window->stride : begin + 1, INT32_MAX, 0, {0}};
  int32_t highest = INT32_MIN;
  for (int32_t i = axis.begin; i < axis.end; ++i) {
    const Phase phase = phase_at(window, padding, i);
    const int32_t lowest = phase.base - phase.taps + 1;
    axis.lowest = lowest < axis.lowest ? lowest : axis.lowest;
    highest = phase.base > highest ? phase.base : highest;
  }
  axis.taps = highest - axis.lowest + 1;
  const int32_t first = all ? 0 : phase_at(window, padding, begin).first;
  axis.placement =
      (OaqPlacementAxis){.count = first < output ? (output - 1 - first) / window->stride + 1 : 0,
                         .padding = -axis.lowest,
                         .first = first,
                         .step = window->stride,
                         .block = all ? window->stride : 1,
                         .size = output};
  return axis;
}

static size_t products_of(const OaqTransposeConvParams* params, const Axis* height,
                          const Axis* width) {
  return (size_t)height->taps * (size_t)width->taps * params->input_channels;
}

static size_t pixels_of(const Axis* height, const Axis* width) {
  return (size_t)height->placement.block * (size_t)width->placement.block;
}

// What multiplying takes, in the ISA's unit of time.
static double cost_of(const OaqTransposeConvParams* params, const Axis* height, const Axis* width,
                      const OaqKernels* kernels) {
  const size_t channels = pixels_of(height, width) * params->output_channels;
  const OaqGemm* gemm = oaq_kernels_gemm(kernels, channels);
  const OaqLayout* layout = gemm->layout;
  const size_t tiles = oaq_ceil_div(channels, layout->channels_per_tile);
  const size_t steps = oaq_layout_steps(layout, products_of(params, height, width));
  const float step = gemm->i16 != NULL ? gemm->cost.int16_step : gemm->cost.exact_step;
  const double rows = (double)height->placement.count * (double)width->placement.count;
  return rows / (double)gemm->rows * (double)tiles * (double)steps * (double)step;
}

// The taps that an axis' element of phase `index` meets: filter element `phase.phase + j * stride`
// lies at tap `phase.base - j - lowest` of the convolution's.
static void cut_pixel(const OaqTransposeConvParams* params, const Axis* height, const Axis* width,
                      const Phase* row, const Phase* column, const int8_t* filter, int8_t* out) {
  const size_t channels = params->input_channels;
  for (int32_t j = 0; j < row->taps; ++j) {
    const size_t fy = (size_t)(row->phase + j * height->window->stride);
    const size_t y = (size_t)(row->base - j - height->lowest);
    for (int32_t i = 0; i < column->taps; ++i) {
      const size_t fx = (size_t)(column->phase + i * width->window->stride);
      const size_t x = (size_t)(column->base - i - width->lowest);
      memcpy(out + (y * (size_t)width->taps + x) * channels,
             filter + (fy * (size_t)width->window->filter + fx) * channels, channels);
    }
  }
}

// Where a phase's element is in a block.
static size_t place_in_block(const Axis* axis, const Phase* phase) {
  return axis->placement.block > 1 ? (size_t)phase->first : 0;
}

// The phases' parts of the filter, as [block height][block width][output_channels][products].
static void cut_filter(const OaqTransposeConvParams* params, const Axis* height, const Axis* width,
                       const int8_t* weights, int8_t* out) {
  const size_t products = products_of(params, height, width);
  const size_t filter_size =
      (size_t)height->window->filter * (size_t)width->window->filter * params->input_channels;
  for (int32_t y = height->begin; y < height->end; ++y) {
    const Phase row = phase_at(height->window, height->padding, y);
    for (int32_t x = width->begin; x < width->end; ++x) {
      const Phase column = phase_at(width->window, width->padding, x);
      const size_t pixel = place_in_block(height, &row) * (size_t)width->placement.block +
                           place_in_block(width, &column);
      for (size_t n = 0; n < params->output_channels; ++n) {
        cut_pixel(params, height, width, &row, &column, weights + n * filter_size,
                  out + (pixel * params->output_channels + n) * products);
      }
    }
  }
}

// What a convolution is made from, a pixel of a block after the other.
typedef struct Parts {
  int8_t* weights;
  int32_t* bias;
  OaqMultiplier* multipliers;
  double* reals;
} Parts;

static void free_parts(Parts* parts) {
  free(parts->weights);
  free(parts->bias);
  free(parts->multipliers);
  free(parts->reals);
}

// [pixels][count] elements, all pixels' the same; NULL for NULL or without memory.
static void* repeat(const void* values, size_t count, size_t element, size_t pixels) {
  char* all = values != NULL ? calloc(pixels * count, element) : NULL;
  for (size_t i = 0; all != NULL && i < pixels; ++i) {
    memcpy(all + i * count * element, values, count * element);
  }
  return all;
}

static bool make_parts(const OaqTransposeConvParams* params, const Axis* height, const Axis* width,
                       const int8_t* weights, const void* bias, Parts* parts, OaqError* error) {
  const size_t pixels = pixels_of(height, width);
  const size_t channels = params->output_channels;
  const size_t products = products_of(params, height, width);
  const OaqRequantize* requantize = &params->requantize;
  *parts = (Parts){
      .weights = calloc(pixels * channels, products),
      .bias = repeat(bias, channels, sizeof(*parts->bias), pixels),
      .multipliers = repeat(requantize->channels, channels, sizeof(*parts->multipliers), pixels),
      .reals = repeat(requantize->reals, channels, sizeof(*parts->reals), pixels)};
  if (parts->weights == NULL || (bias != NULL && parts->bias == NULL) ||
      (requantize->channels != NULL && parts->multipliers == NULL) ||
      (requantize->reals != NULL && parts->reals == NULL)) {
    free_parts(parts);
    return oaq_fail(error, "out of memory for %zu outputs of %zu products", pixels * channels,
                    products);
  }
  cut_filter(params, height, width, weights, parts->weights);
  return true;
}

static bool add_conv(OaqTransposeConv* op, const Axis* height, const Axis* width,
                     const int8_t* weights, const void* bias, const OaqPlanner* planner,
                     OaqError* error) {
  const OaqTransposeConvParams* params = &op->params;
  Parts parts;
  if (!make_parts(params, height, width, weights, bias, &parts, error)) return false;
  OaqConv2dParams conv = {
      .height = {height->taps, 1, 1, OAQ_PADDING_VALID},
      .width = {width->taps, 1, 1, OAQ_PADDING_VALID},
      .input_channels = params->input_channels,
      .output_channels = pixels_of(height, width) * params->output_channels,
      .groups = 1,
      .input_zero_point = params->input_zero_point,
      .input_range = params->input_range,
      .requantize = params->requantize,
      .placement = {height->placement, width->placement, params->output_channels}};
  conv.requantize.channels = parts.multipliers;
  conv.requantize.reals = parts.reals;
  OaqConv2d* made = &op->convs[op->num_convs];
  const bool created = oaq_conv_2d_create(&conv, parts.weights, parts.bias, planner, made, error);
  free_parts(&parts);
  if (!created) return false;
  ++op->num_convs;
  oaq_plan_add(&made->summary, &op->summary);
  return true;
}

// Outputs between the filter's reach hold the bias alone.
static bool find_empty(OaqTransposeConv* op, const void* bias, OaqError* error) {
  const OaqTransposeConvParams* params = &op->params;
  op->empty = malloc(params->output_channels);
  if (op->empty == NULL) return oaq_fail(error, "out of memory");
  for (size_t n = 0; n < params->output_channels; ++n) {
    int32_t value = 0;
    if (bias != NULL) memcpy(&value, (const char*)bias + n * sizeof(value), sizeof(value));
    op->empty[n] = oaq_requantize(&params->requantize, n, value);
  }
  return true;
}

// Where windows begin, in output elements before the first.
typedef struct Paddings {
  int32_t top, left;
} Paddings;

// Of phase `index`, or of all phases, whose convolution there is but one of.
static Axis height_axis(const OaqTransposeConvParams* params, const Paddings* paddings,
                        int32_t index, bool all) {
  return make_axis(&params->height, params->output_height, paddings->top, index, all);
}

static Axis width_axis(const OaqTransposeConvParams* params, const Paddings* paddings,
                       int32_t index, bool all) {
  return make_axis(&params->width, params->output_width, paddings->left, index, all);
}

static int32_t phases_of(const OaqWindow* window) {
  return oaq_clamp(window->stride, 1, window->filter);
}

// What the phases cost, each by itself or all as one convolution.
static double cost_of_phases(const OaqTransposeConvParams* params, const Paddings* paddings,
                             bool all, const OaqKernels* kernels) {
  const int32_t rows = all ? 1 : phases_of(&params->height);
  const int32_t columns = all ? 1 : phases_of(&params->width);
  double cost = 0;
  for (int32_t i = 0; i < rows * columns; ++i) {
    const Axis height = height_axis(params, paddings, i / columns, all);
    const Axis width = width_axis(params, paddings, i % columns, all);
    cost += cost_of(params, &height, &width, kernels);
  }
  return cost;
}

static bool create_convs(OaqTransposeConv* op, const int8_t* weights, const void* bias,
                         const OaqPlanner* planner, OaqError* error) {
  const OaqTransposeConvParams* params = &op->params;
  Paddings paddings;
  int32_t unused = 0;
  if (!oaq_window_output(&params->height, params->output_height, &unused, &paddings.top, error) ||
      !oaq_window_output(&params->width, params->output_width, &unused, &paddings.left, error)) {
    return false;
  }
  const int32_t height_stride = params->height.stride, width_stride = params->width.stride;
  const int32_t rows = phases_of(&params->height), columns = phases_of(&params->width);
  if ((int64_t)rows * columns > kMostPhases) {
    return oaq_fail(error, "strides %d, %d make %lld phases, expected at most %d", height_stride,
                    width_stride, (long long)rows * columns, kMostPhases);
  }
  const bool reached = rows == height_stride && columns == width_stride;
  if (!reached && !find_empty(op, bias, error)) return false;
  const OaqKernels* kernels = planner->kernels;
  // Products of a lane are those of its phase, and so is what is proven of them, where no step is
  // of two taps.
  const size_t pixels = (size_t)height_stride * (size_t)width_stride;
  const OaqGemm* gemm = oaq_kernels_gemm(kernels, pixels * params->output_channels);
  const bool whole = params->input_channels % oaq_layout_step(gemm->layout) == 0;
  const bool all = reached && whole &&
                   cost_of_phases(params, &paddings, true, kernels) <=
                       cost_of_phases(params, &paddings, false, kernels);
  const int32_t convs = all ? 1 : rows * columns;
  op->convs = calloc((size_t)convs, sizeof(*op->convs));
  if (op->convs == NULL) return oaq_fail(error, "out of memory for %d phases", convs);
  for (int32_t i = 0; i < convs; ++i) {
    const Axis height = height_axis(params, &paddings, i / columns, all);
    const Axis width = width_axis(params, &paddings, i % columns, all);
    if (!add_conv(op, &height, &width, weights, bias, planner, error)) return false;
  }
  return true;
}

bool oaq_transpose_conv_create(const OaqTransposeConvParams* params, const int8_t* weights,
                               const void* bias, const OaqPlanner* planner, OaqTransposeConv* op,
                               OaqError* error) {
  *op = (OaqTransposeConv){.params = *params, .use = {.scratch = planner->scratch}};
  const bool created = create_convs(op, weights, bias, planner, error);
  if (!created) oaq_transpose_conv_free(op);
  return created;
}

void oaq_transpose_conv_free(OaqTransposeConv* op) {
  for (size_t i = 0; i < op->num_convs; ++i) oaq_conv_2d_free(&op->convs[i]);
  free(op->convs);
  free(op->empty);
  *op = (OaqTransposeConv){0};
}

size_t oaq_transpose_conv_bytes(const OaqTransposeConv* op) {
  size_t bytes = op->num_convs * sizeof(*op->convs);
  for (size_t i = 0; i < op->num_convs; ++i) bytes += oaq_conv_2d_bytes(&op->convs[i]);
  return op->empty != NULL ? bytes + op->params.output_channels : bytes;
}

bool oaq_transpose_conv_reshape(OaqTransposeConv* op, int32_t batch, int32_t height, int32_t width,
                                OaqError* error) {
  if (batch < 0 || height < 0 || width < 0) {
    return oaq_fail(error, "input of %d by %d by %d, expected 0 or more", batch, height, width);
  }
  op->batch = batch;
  op->use.size = 0;
  op->use.workers = 1;
  for (size_t i = 0; i < op->num_convs; ++i) {
    if (!oaq_conv_2d_reshape(&op->convs[i], batch, height, width, error)) return false;
    const OaqScratchUse* use = &op->convs[i].use;
    op->use.size = use->size > op->use.size ? use->size : op->use.size;
    op->use.workers = use->workers > op->use.workers ? use->workers : op->use.workers;
  }
  return true;
}

void oaq_transpose_conv_run(OaqTransposeConv* op, const int8_t* input, bool any_codes,
                            int8_t* output) {
  const size_t channels = op->params.output_channels;
  const size_t outputs =
      (size_t)op->batch * (size_t)op->params.output_height * (size_t)op->params.output_width;
  for (size_t i = 0; op->empty != NULL && i < outputs; ++i) {
    memcpy(output + i * channels, op->empty, channels);
  }
  for (size_t i = 0; i < op->num_convs; ++i) {
    oaq_conv_2d_run(&op->convs[i], input, any_codes, output);
  }
}
