// SPDX-License-Identifier: Apache-2.0
#include "core/depthwise_conv_2d.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

bool oaq_depthwise_conv_2d_create(const OaqDepthwiseConv2dParams* params, const int8_t* weights,
                                  const void* bias, const OaqPlanner* planner,
                                  OaqDepthwiseConv2d* op, OaqError* error) {
  *op = (OaqDepthwiseConv2d){.params = *params, .kernels = planner->kernels};
  const size_t taps = (size_t)params->height.filter * (size_t)params->width.filter;
  const size_t channels = params->input_channels * params->depth_multiplier;
  const OaqWeights matrix = {weights, channels, taps, 1, channels};
  if (!oaq_pack(&matrix, bias, params->input_zero_point, params->input_range,
                planner->kernels->depthwise_layout, &planner->kernels->depthwise_cost,
                planner->policy, &op->packed, &op->summary, error)) {
    return false;
  }
  op->taps = calloc(taps, sizeof(*op->taps));
  op->copied_taps = calloc(taps, sizeof(*op->copied_taps));
  op->copied = calloc(taps, OAQ_DEPTHWISE_CHANNELS);
  op->padding = malloc(params->input_channels);
  if (op->taps == NULL || op->copied_taps == NULL || op->copied == NULL || op->padding == NULL) {
    oaq_depthwise_conv_2d_free(op);
    return oaq_fail(error, "out of memory for %zu taps of %zu channels", taps, channels);
  }
  memset(op->padding, params->input_zero_point, params->input_channels);
  for (size_t t = 0; t < taps; ++t) op->copied_taps[t] = op->copied + t * OAQ_DEPTHWISE_CHANNELS;
  return true;
}

void oaq_depthwise_conv_2d_free(OaqDepthwiseConv2d* op) {
  oaq_packed_free(&op->packed);
  free(op->taps);
  free(op->copied_taps);
  free(op->copied);
  free(op->padding);
  *op = (OaqDepthwiseConv2d){0};
}

bool oaq_depthwise_conv_2d_reshape(OaqDepthwiseConv2d* op, int32_t batch, int32_t height,
                                   int32_t width, OaqError* error) {
  if (batch < 0) return oaq_fail(error, "batch size %d, expected 0 or more", batch);
  op->batch = batch;
  op->input_height = height;
  op->input_width = width;
  return oaq_window_output(&op->params.height, height, &op->output_height, &op->pad_top, error) &&
         oaq_window_output(&op->params.width, width, &op->output_width, &op->pad_left, error);
}

static void find_taps(OaqDepthwiseConv2d* op, const int8_t* image, int32_t oy, int32_t ox) {
  const OaqDepthwiseConv2dParams* params = &op->params;
  const int64_t top = (int64_t)oy * params->height.stride - op->pad_top;
  const int64_t left = (int64_t)ox * params->width.stride - op->pad_left;
  size_t tap = 0;
  for (int32_t fy = 0; fy < params->height.filter; ++fy) {
    const int64_t y = top + (int64_t)fy * params->height.dilation;
    for (int32_t fx = 0; fx < params->width.filter; ++fx) {
      const int64_t x = left + (int64_t)fx * params->width.dilation;
      const bool inside = y >= 0 && y < op->input_height && x >= 0 && x < op->input_width;
      op->taps[tap++] = inside ? image + ((size_t)y * (size_t)op->input_width + (size_t)x) *
                                             params->input_channels
                               : op->padding;
    }
  }
}

static void copy_tile(OaqDepthwiseConv2d* op, size_t first_channel, size_t channels) {
  const size_t multiplier = op->params.depth_multiplier;
  for (size_t t = 0; t < op->packed.products; ++t) {
    int8_t* out = op->copied + t * OAQ_DEPTHWISE_CHANNELS;
    if (multiplier == 1) {
      memcpy(out, op->taps[t] + first_channel, channels);
    } else {
      for (size_t c = 0; c < channels; ++c) out[c] = op->taps[t][(first_channel + c) / multiplier];
    }
  }
}

// All channels of the output position whose taps were found.
static void run_position(OaqDepthwiseConv2d* op, bool int16, int8_t* output) {
  const OaqPacked* packed = &op->packed;
  for (size_t index = 0; index < packed->num_tiles; ++index) {
    const OaqTile* tile = &packed->tiles[index];
    const bool tile_int16 = int16 && tile->int16;
    const size_t first = index * OAQ_DEPTHWISE_CHANNELS;
    const size_t channels = oaq_min_size(OAQ_DEPTHWISE_CHANNELS, packed->channels - first);
    const bool in_place = op->params.depth_multiplier == 1 && channels == OAQ_DEPTHWISE_CHANNELS;
    if (!in_place) copy_tile(op, first, channels);
    const int8_t* const* taps = in_place ? op->taps : op->copied_taps;
    const size_t offset = in_place ? first : 0;
    const int8_t* weights = oaq_packed_tile(packed, index);
    int32_t acc[OAQ_DEPTHWISE_CHANNELS];
    if (tile_int16) {
      op->kernels->depthwise_i16(tile->blocks, tile->num_blocks, taps, offset, weights, tile->start,
                                 acc);
    } else {
      op->kernels->depthwise_i32(packed->steps, taps, offset, weights, acc);
    }
    const int32_t* bias = tile_int16 ? packed->bias_int16 : packed->bias_exact;
    for (size_t c = 0; c < channels; ++c) {
      output[first + c] =
          oaq_requantize(&op->params.requantize, first + c, oaq_wrap_add(acc[c], bias[first + c]));
    }
  }
}

void oaq_depthwise_conv_2d_run(OaqDepthwiseConv2d* op, const int8_t* input, bool int16,
                               int8_t* output) {
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * op->params.input_channels;
  for (int32_t image = 0; image < op->batch; ++image) {
    for (int32_t oy = 0; oy < op->output_height; ++oy) {
      for (int32_t ox = 0; ox < op->output_width; ++ox) {
        find_taps(op, input, oy, ox);
        run_position(op, int16, output);
        output += op->packed.channels;
      }
    }
    input += image_size;
  }
}
