// SPDX-License-Identifier: Apache-2.0
#include "core/transpose_conv.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

// Each is packed and padded by itself: more would take far more memory than the filter has.
enum { kMostPhases = 1024 };

static OaqPhaseAxis phase_axis(const OaqWindow* window, int32_t output, int32_t padding,
                               int32_t phase) {
  const int64_t stride = window->stride;
  // The first row r >= 0 with (r + padding) % stride == phase.
  const int64_t first = ((phase - padding) % stride + stride) % stride;
  return (OaqPhaseAxis){.phase = phase,
                        .taps = (int32_t)((window->filter - phase + stride - 1) / stride),
                        .first = (int32_t)first,
                        .count = first < output ? (int32_t)((output - 1 - first) / stride) + 1 : 0,
                        .base = (int32_t)((first + padding - phase) / stride)};
}

static size_t products_of(const OaqTransposePhase* phase, const OaqTransposeConvParams* params) {
  return (size_t)phase->height.taps * (size_t)phase->width.taps * params->input_channels;
}

// The phase's part of the filter, as [output_channels][products].
static void cut_filter(const OaqTransposeConvParams* params, const OaqTransposePhase* phase,
                       const int8_t* weights, int8_t* out) {
  const size_t channels = params->input_channels;
  const size_t width = (size_t)params->width.filter;
  for (size_t n = 0; n < params->output_channels; ++n) {
    const int8_t* filter = weights + n * (size_t)params->height.filter * width * channels;
    for (int32_t j = 0; j < phase->height.taps; ++j) {
      const size_t fy = (size_t)(phase->height.phase + j * params->height.stride);
      for (int32_t i = 0; i < phase->width.taps; ++i) {
        const size_t fx = (size_t)(phase->width.phase + i * params->width.stride);
        memcpy(out, filter + (fy * width + fx) * channels, channels);
        out += channels;
      }
    }
  }
}

static bool pack_phase(OaqTransposeConv* op, const int8_t* weights, const void* bias,
                       const OaqPlanner* planner, OaqTransposePhase* phase, OaqError* error) {
  const OaqTransposeConvParams* params = &op->params;
  const size_t products = products_of(phase, params);
  int8_t* codes = calloc(params->output_channels, products);
  if (codes == NULL) return oaq_fail(error, "out of memory for a phase of %zu products", products);
  cut_filter(params, phase, weights, codes);
  const OaqWeights matrix = {codes, params->output_channels, products, products, 1};
  const OaqPacking packing = oaq_gemm_packing(op->gemm);
  const bool packed = oaq_pack(&matrix, bias, params->input_zero_point, params->input_range,
                               &packing, planner, &phase->packed, &op->summary, error);
  free(codes);
  return packed;
}

// Outputs between the filter's reach hold the bias alone.
static bool find_empty(OaqTransposeConv* op, const void* bias, OaqError* error) {
  const OaqTransposeConvParams* params = &op->params;
  if (params->height.stride <= params->height.filter &&
      params->width.stride <= params->width.filter) {
    return true;
  }
  op->empty = malloc(params->output_channels);
  if (op->empty == NULL) return oaq_fail(error, "out of memory");
  for (size_t n = 0; n < params->output_channels; ++n) {
    int32_t value = 0;
    if (bias != NULL) memcpy(&value, (const char*)bias + n * sizeof(value), sizeof(value));
    op->empty[n] = oaq_requantize(&params->requantize, n, value);
  }
  return true;
}

static bool create_phases(OaqTransposeConv* op, const int8_t* weights, const void* bias,
                          const OaqPlanner* planner, OaqError* error) {
  const OaqTransposeConvParams* params = &op->params;
  int32_t unused = 0, top = 0, left = 0;
  if (!oaq_window_output(&params->height, params->output_height, &unused, &top, error) ||
      !oaq_window_output(&params->width, params->output_width, &unused, &left, error)) {
    return false;
  }
  const int32_t rows = oaq_clamp(params->height.stride, 1, params->height.filter);
  const int32_t columns = oaq_clamp(params->width.stride, 1, params->width.filter);
  if ((int64_t)rows * columns > kMostPhases) {
    return oaq_fail(error, "strides %d, %d make %lld phases, expected at most %d",
                    params->height.stride, params->width.stride, (long long)rows * columns,
                    kMostPhases);
  }
  size_t most_products = 0;
  bool wide = planner->any_codes && op->gemm->shifted;
  op->phases = calloc((size_t)rows * (size_t)columns, sizeof(*op->phases));
  if (op->phases == NULL) return oaq_fail(error, "out of memory for %d phases", rows * columns);
  for (int32_t y = 0; y < rows; ++y) {
    for (int32_t x = 0; x < columns; ++x) {
      OaqTransposePhase* phase = &op->phases[op->num_phases];
      phase->height = phase_axis(&params->height, params->output_height, top, y);
      phase->width = phase_axis(&params->width, params->output_width, left, x);
      if (!pack_phase(op, weights, bias, planner, phase, error)) return false;
      ++op->num_phases;
      const size_t products = phase->packed.products;
      most_products = products > most_products ? products : most_products;
      wide = wide || phase->packed.any_wide;
    }
  }
  return oaq_panels_init(most_products, op->gemm, wide, &op->panels, error) &&
         oaq_output_stage_init(&params->requantize, params->output_channels, &op->stage, error) &&
         find_empty(op, bias, error);
}

bool oaq_transpose_conv_create(const OaqTransposeConvParams* params, const int8_t* weights,
                               const void* bias, const OaqPlanner* planner, OaqTransposeConv* op,
                               OaqError* error) {
  *op = (OaqTransposeConv){.params = *params,
                           .gemm = oaq_kernels_gemm(planner->kernels, params->output_channels),
                           .output = planner->kernels->output,
                           .threads = planner->threads,
                           .use = {.scratch = planner->scratch}};
  const bool created = create_phases(op, weights, bias, planner, error);
  if (!created) oaq_transpose_conv_free(op);
  return created;
}

void oaq_transpose_conv_free(OaqTransposeConv* op) {
  for (size_t i = 0; i < op->num_phases; ++i) oaq_packed_free(&op->phases[i].packed);
  free(op->phases);
  free(op->empty);
  oaq_output_stage_free(&op->stage);
  *op = (OaqTransposeConv){0};
}

size_t oaq_transpose_conv_bytes(const OaqTransposeConv* op) {
  size_t bytes = op->stage.bytes + op->num_phases * sizeof(*op->phases);
  for (size_t i = 0; i < op->num_phases; ++i) bytes += oaq_packed_bytes(&op->phases[i].packed);
  return op->empty != NULL ? bytes + op->params.output_channels : bytes;
}

// Rows and outputs of the largest part, for each worker.
static bool reserve_scratch(OaqTransposeConv* op, size_t rows, size_t workers, OaqError* error) {
  op->use.size = 0;
  op->use.workers = workers;
  size_t outputs = 0;
  if (!oaq_panels_add(&op->panels, rows, &op->use.size, error)) return false;
  if (!oaq_size_multiply(rows, op->params.output_channels, &outputs) ||
      !oaq_scratch_add(outputs, 1, &op->use.size, &op->outputs_offset)) {
    return oaq_fail(error, "%zu outputs are too many", op->params.output_channels);
  }
  return oaq_scratch_reserve(&op->use, error);
}

bool oaq_transpose_conv_reshape(OaqTransposeConv* op, int32_t batch, int32_t height, int32_t width,
                                OaqError* error) {
  if (batch < 0 || height < 0 || width < 0) {
    return oaq_fail(error, "input of %d by %d by %d, expected 0 or more", batch, height, width);
  }
  op->batch = batch;
  op->input_height = height;
  op->input_width = width;
  size_t workers = 1;
  size_t most_rows = 0;
  for (size_t i = 0; i < op->num_phases; ++i) {
    OaqTransposePhase* phase = &op->phases[i];
    size_t rows = 0;
    if (!oaq_size_multiply((size_t)phase->height.count, (size_t)phase->width.count, &rows) ||
        !oaq_size_multiply(rows, (size_t)batch, &rows)) {
      return oaq_fail(error, "%d images are too many", batch);
    }
    const double row_macs = (double)phase->packed.products * (double)op->params.output_channels;
    phase->split = oaq_split(op->threads, rows, op->panels.max_rows, op->gemm->rows,
                             phase->packed.num_tiles, row_macs);
    workers = phase->split.workers > workers ? phase->split.workers : workers;
    const size_t part_rows = oaq_min_size(phase->split.part_rows, rows);
    most_rows = part_rows > most_rows ? part_rows : most_rows;
  }
  return reserve_scratch(op, most_rows, workers, error);
}

typedef struct Run {
  const OaqTransposeConv* op;
  const OaqTransposePhase* phase;
  const int8_t* input;
  int8_t* output;
  bool any_codes;
} Run;

// The codes that the phase's taps meet at its output row k and column l, the zero point's code
// outside of the image.
static void gather_row(const Run* run, size_t image, int32_t k, int32_t l, int8_t* out) {
  const OaqTransposeConv* op = run->op;
  const size_t channels = op->params.input_channels;
  const size_t height = (size_t)op->input_height, width = (size_t)op->input_width;
  const int64_t top = (int64_t)run->phase->height.base + k;
  const int64_t left = (int64_t)run->phase->width.base + l;
  for (int32_t j = 0; j < run->phase->height.taps; ++j) {
    for (int32_t i = 0; i < run->phase->width.taps; ++i) {
      const int64_t y = top - j, x = left - i;
      if (y >= 0 && y < op->input_height && x >= 0 && x < op->input_width) {
        const size_t position = (image * height + (size_t)y) * width + (size_t)x;
        memcpy(out, run->input + position * channels, channels);
      } else {
        memset(out, op->params.input_zero_point, channels);
      }
      out += channels;
    }
  }
}

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqTransposeConv* op = run->op;
  const OaqTransposeConvParams* params = &op->params;
  const OaqTransposePhase* phase = run->phase;
  const OaqPart part = oaq_split_part(&phase->split, index);
  // The panels' rows are as long as the longest phase's; this one uses their beginnings.
  char* block = oaq_scratch_worker(&op->use, worker);
  const OaqPanel panel = oaq_panels_at(&op->panels, block);
  int8_t* results = (int8_t*)block + op->outputs_offset;
  const size_t columns = (size_t)phase->width.count;
  const size_t positions = (size_t)phase->height.count * columns;
  for (size_t m = 0; m < part.rows; ++m) {
    const size_t row = part.first_row + m;
    gather_row(run, row / positions, (int32_t)(row % positions / columns), (int32_t)(row % columns),
               oaq_panel_row(&op->panels, &panel, m));
  }
  const OaqInput rows = oaq_panel_finish(&op->panels, &panel, part.rows, &phase->packed);
  const size_t channels = params->output_channels;
  const OaqTiles tiles = {&phase->packed, part.first_tile, part.end_tile, 0};
  oaq_gemm(&rows, &tiles, op->gemm, op->output, &op->stage, run->any_codes, results, channels);
  const size_t per_tile = phase->packed.layout->channels_per_tile;
  const size_t first = part.first_tile * per_tile;
  const size_t end = oaq_min_size(part.end_tile * per_tile, channels);
  for (size_t m = 0; m < part.rows; ++m) {
    const size_t row = part.first_row + m;
    const size_t y =
        (size_t)phase->height.first + row % positions / columns * (size_t)params->height.stride;
    const size_t x = (size_t)phase->width.first + row % columns * (size_t)params->width.stride;
    const size_t line = row / positions * (size_t)params->output_height + y;
    memcpy(run->output + (line * (size_t)params->output_width + x) * channels + first,
           results + m * channels + first, end - first);
  }
}

void oaq_transpose_conv_run(OaqTransposeConv* op, const int8_t* input, bool any_codes,
                            int8_t* output) {
  const size_t channels = op->params.output_channels;
  const size_t outputs =
      (size_t)op->batch * (size_t)op->params.output_height * (size_t)op->params.output_width;
  for (size_t i = 0; op->empty != NULL && i < outputs; ++i) {
    memcpy(output + i * channels, op->empty, channels);
  }
  for (size_t i = 0; i < op->num_phases; ++i) {
    const OaqTransposePhase* phase = &op->phases[i];
    Run run = {op, phase, input, output, any_codes};
    oaq_threads_run(op->threads, phase->split.workers, phase->split.parts, run_part, &run);
  }
}
