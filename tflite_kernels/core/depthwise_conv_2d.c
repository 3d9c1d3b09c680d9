// SPDX-License-Identifier: Apache-2.0
#include "core/depthwise_conv_2d.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

bool oaq_depthwise_conv_2d_create(const OaqDepthwiseConv2dParams* params, const int8_t* weights,
                                  const void* bias, const OaqPlanner* planner,
                                  OaqDepthwiseConv2d* op, OaqError* error) {
  *op = (OaqDepthwiseConv2d){
      .params = *params, .kernels = planner->kernels, .threads = planner->threads};
  const size_t taps = (size_t)params->height.filter * (size_t)params->width.filter;
  const size_t channels = params->input_channels * params->depth_multiplier;
  const OaqWeights matrix = {weights, channels, taps, 1, channels};
  const OaqPacking packing = {.layout = planner->kernels->depthwise_layout,
                              .cost = &planner->kernels->depthwise_cost,
                              .int16 = true};
  if (!oaq_pack(&matrix, bias, params->input_zero_point, params->input_range, &packing, planner,
                &op->packed, &op->summary, error)) {
    return false;
  }
  op->padding = malloc(params->input_channels);
  if (op->padding == NULL) {
    oaq_depthwise_conv_2d_free(op);
    return oaq_fail(error, "out of memory for %zu channels", channels);
  }
  memset(op->padding, params->input_zero_point, params->input_channels);
  return true;
}

static void free_scratch(OaqDepthwiseScratch* scratch) {
  free(scratch->taps);
  free(scratch->copied_taps);
  free(scratch->copied);
}

void oaq_depthwise_conv_2d_free(OaqDepthwiseConv2d* op) {
  oaq_packed_free(&op->packed);
  for (size_t i = 0; i < op->num_scratch; ++i) free_scratch(&op->scratch[i]);
  free(op->scratch);
  free(op->padding);
  *op = (OaqDepthwiseConv2d){0};
}

static bool reserve_scratch(OaqDepthwiseConv2d* op, size_t count, OaqError* error) {
  if (count <= op->num_scratch) return true;
  const size_t taps = op->packed.products;
  OaqDepthwiseScratch* grown = realloc(op->scratch, count * sizeof(*grown));
  if (grown == NULL) return oaq_fail(error, "out of memory for %zu threads", count);
  op->scratch = grown;
  for (; op->num_scratch < count; ++op->num_scratch) {
    OaqDepthwiseScratch scratch = {.taps = calloc(taps, sizeof(*scratch.taps)),
                                   .copied_taps = calloc(taps, sizeof(*scratch.copied_taps)),
                                   .copied = calloc(taps, OAQ_DEPTHWISE_CHANNELS)};
    if (scratch.taps == NULL || scratch.copied_taps == NULL || scratch.copied == NULL) {
      free_scratch(&scratch);
      return oaq_fail(error, "out of memory for %zu taps", taps);
    }
    for (size_t t = 0; t < taps; ++t) {
      scratch.copied_taps[t] = scratch.copied + t * OAQ_DEPTHWISE_CHANNELS;
    }
    grown[op->num_scratch] = scratch;
  }
  return true;
}

bool oaq_depthwise_conv_2d_reshape(OaqDepthwiseConv2d* op, int32_t batch, int32_t height,
                                   int32_t width, OaqError* error) {
  if (batch < 0) return oaq_fail(error, "batch size %d, expected 0 or more", batch);
  op->batch = batch;
  op->input_height = height;
  op->input_width = width;
  if (!oaq_window_output(&op->params.height, height, &op->output_height, &op->pad_top, error) ||
      !oaq_window_output(&op->params.width, width, &op->output_width, &op->pad_left, error)) {
    return false;
  }
  size_t rows = 0;
  if (!oaq_size_multiply((size_t)op->output_height, (size_t)op->output_width, &rows) ||
      !oaq_size_multiply(rows, (size_t)batch, &rows)) {
    return oaq_fail(error, "%d images of %d by %d outputs are too many", batch, op->output_height,
                    op->output_width);
  }
  const double row_macs = (double)op->packed.products * (double)op->packed.channels;
  op->split = oaq_split(op->threads, rows, rows, 1, op->packed.num_tiles, row_macs);
  return reserve_scratch(op, op->split.workers, error);
}

static void find_taps(const OaqDepthwiseConv2d* op, const int8_t* image, int32_t oy, int32_t ox,
                      const int8_t** taps) {
  const OaqDepthwiseConv2dParams* params = &op->params;
  const int64_t top = (int64_t)oy * params->height.stride - op->pad_top;
  const int64_t left = (int64_t)ox * params->width.stride - op->pad_left;
  for (int32_t fy = 0; fy < params->height.filter; ++fy) {
    const int64_t y = top + (int64_t)fy * params->height.dilation;
    for (int32_t fx = 0; fx < params->width.filter; ++fx) {
      const int64_t x = left + (int64_t)fx * params->width.dilation;
      const bool inside = y >= 0 && y < op->input_height && x >= 0 && x < op->input_width;
      *taps++ = inside ? image + ((size_t)y * (size_t)op->input_width + (size_t)x) *
                                     params->input_channels
                       : op->padding;
    }
  }
}

static void copy_tile(const OaqDepthwiseConv2d* op, const OaqDepthwiseScratch* scratch,
                      size_t first_channel, size_t channels) {
  const size_t multiplier = op->params.depth_multiplier;
  for (size_t t = 0; t < op->packed.products; ++t) {
    const int8_t* codes = scratch->taps[t];
    int8_t* out = scratch->copied + t * OAQ_DEPTHWISE_CHANNELS;
    if (multiplier == 1) {
      memcpy(out, codes + first_channel, channels);
    } else {
      for (size_t c = 0; c < channels; ++c) out[c] = codes[(first_channel + c) / multiplier];
    }
  }
}

// One tile of channels of the output position whose taps were found.
static void run_tile(const OaqDepthwiseConv2d* op, const OaqDepthwiseScratch* scratch, size_t index,
                     bool any_codes, int8_t* output) {
  const OaqPacked* packed = &op->packed;
  const OaqTile* tile = &packed->tiles[index];
  const bool tile_int16 = !any_codes && tile->int16;
  const size_t first = index * OAQ_DEPTHWISE_CHANNELS;
  const size_t channels = oaq_min_size(OAQ_DEPTHWISE_CHANNELS, packed->channels - first);
  const bool in_place = op->params.depth_multiplier == 1 && channels == OAQ_DEPTHWISE_CHANNELS;
  if (!in_place) copy_tile(op, scratch, first, channels);
  const int8_t* const* taps = in_place ? scratch->taps : scratch->copied_taps;
  const size_t offset = in_place ? first : 0;
  const int8_t* weights = tile->weights;
  int32_t acc[OAQ_DEPTHWISE_CHANNELS];
  if (tile_int16) {
    OAQ_COUNTING(oaq_count_depthwise(&tile->drains, taps, offset, weights);)
    op->kernels->depthwise_i16(&tile->drains, taps, offset, weights, acc);
  } else {
    op->kernels->depthwise_i32(packed->steps, taps, offset, weights, acc);
  }
  const int32_t* bias = tile_int16 ? packed->bias_int16 : packed->bias_exact;
  for (size_t c = 0; c < channels; ++c) {
    output[first + c] =
        oaq_requantize(&op->params.requantize, first + c, oaq_wrap_add(acc[c], bias[first + c]));
  }
}

typedef struct Run {
  const OaqDepthwiseConv2d* op;
  const int8_t* input;
  int8_t* output;
  bool any_codes;
} Run;

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqDepthwiseConv2d* op = run->op;
  const OaqPart part = oaq_split_part(&op->split, index);
  const OaqDepthwiseScratch* scratch = &op->scratch[worker];
  const size_t width = (size_t)op->output_width;
  const size_t positions = (size_t)op->output_height * width;
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * op->params.input_channels;
  for (size_t row = part.first_row; row < part.first_row + part.rows; ++row) {
    const size_t position = row % positions;
    find_taps(op, run->input + row / positions * image_size, (int32_t)(position / width),
              (int32_t)(position % width), scratch->taps);
    for (size_t tile = part.first_tile; tile < part.end_tile; ++tile) {
      run_tile(op, scratch, tile, run->any_codes, run->output + row * op->packed.channels);
    }
  }
}

void oaq_depthwise_conv_2d_run(OaqDepthwiseConv2d* op, const int8_t* input, bool any_codes,
                               int8_t* output) {
  Run run = {op, input, output, any_codes};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
