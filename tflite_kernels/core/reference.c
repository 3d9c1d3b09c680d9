// SPDX-License-Identifier: Apache-2.0
#include "core/reference.h"

// One output of a convolution: the sum over the taps that lie in the image of
// weight * (code - zero point). `codes` is [height][width][input_channels] from the first channel
// that the output reads, `filter` [filter height][filter width] times `weight_stride` codes.
static int64_t sum_window(const OaqWindow* rows, const OaqWindow* columns, int32_t height,
                          int32_t width, int32_t top, int32_t left, const int8_t* codes,
                          size_t input_channels, size_t read_channels, const int8_t* filter,
                          size_t weight_stride, int32_t zero_point) {
  int64_t sum = 0;
  for (int32_t fy = 0; fy < rows->filter; ++fy) {
    for (int32_t fx = 0; fx < columns->filter; ++fx) {
      const int32_t y = top + fy * rows->dilation;
      const int32_t x = left + fx * columns->dilation;
      if (y < 0 || y >= height || x < 0 || x >= width) continue;
      for (size_t c = 0; c < read_channels; ++c) {
        const size_t tap = (size_t)(fy * columns->filter + fx);
        sum += filter[tap * weight_stride + c] *
               (codes[(size_t)(y * width + x) * input_channels + c] - zero_point);
      }
    }
  }
  return sum;
}

static int8_t finish(const OaqRequantize* requantize, size_t channel, const int32_t* bias,
                     int64_t sum) {
  const int64_t total = sum + (bias != NULL ? bias[channel] : 0);
  return oaq_requantize(requantize, channel, (int32_t)(uint32_t)(uint64_t)total);
}

void oaq_reference_conv_2d(const OaqConv2dParams* params, int32_t batch, int32_t height,
                           int32_t width, const int8_t* input, const int8_t* weights,
                           const int32_t* bias, int8_t* output) {
  int32_t out_height = 0, out_width = 0, pad_top = 0, pad_left = 0;
  oaq_window_output(&params->height, height, &out_height, &pad_top, NULL);
  oaq_window_output(&params->width, width, &out_width, &pad_left, NULL);
  const size_t read = params->input_channels / params->groups;
  const size_t group_channels = params->output_channels / params->groups;
  const size_t filter_size = (size_t)(params->height.filter * params->width.filter) * read;
  for (int32_t b = 0; b < batch; ++b) {
    const int8_t* image = input + (size_t)(b * height * width) * params->input_channels;
    for (int32_t oy = 0; oy < out_height; ++oy) {
      for (int32_t ox = 0; ox < out_width; ++ox) {
        for (size_t c = 0; c < params->output_channels; ++c) {
          const int64_t sum =
              sum_window(&params->height, &params->width, height, width,
                         oy * params->height.stride - pad_top, ox * params->width.stride - pad_left,
                         image + c / group_channels * read, params->input_channels, read,
                         weights + c * filter_size, read, params->input_zero_point);
          *output++ = finish(&params->requantize, c, bias, sum);
        }
      }
    }
  }
}

void oaq_reference_depthwise_conv_2d(const OaqDepthwiseConv2dParams* params, int32_t batch,
                                     int32_t height, int32_t width, const int8_t* input,
                                     const int8_t* weights, const int32_t* bias, int8_t* output) {
  int32_t out_height = 0, out_width = 0, pad_top = 0, pad_left = 0;
  oaq_window_output(&params->height, height, &out_height, &pad_top, NULL);
  oaq_window_output(&params->width, width, &out_width, &pad_left, NULL);
  const size_t channels = params->input_channels * params->depth_multiplier;
  for (int32_t b = 0; b < batch; ++b) {
    const int8_t* image = input + (size_t)(b * height * width) * params->input_channels;
    for (int32_t oy = 0; oy < out_height; ++oy) {
      for (int32_t ox = 0; ox < out_width; ++ox) {
        for (size_t c = 0; c < channels; ++c) {
          const int64_t sum = sum_window(
              &params->height, &params->width, height, width, oy * params->height.stride - pad_top,
              ox * params->width.stride - pad_left, image + c / params->depth_multiplier,
              params->input_channels, 1, weights + c, channels, params->input_zero_point);
          *output++ = finish(&params->requantize, c, bias, sum);
        }
      }
    }
  }
}

void oaq_reference_fully_connected(const OaqFullyConnectedParams* params, size_t batch,
                                   const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   int8_t* output) {
  for (size_t b = 0; b < batch; ++b) {
    for (size_t c = 0; c < params->channels; ++c) {
      int64_t sum = 0;
      for (size_t k = 0; k < params->products; ++k) {
        sum += weights[c * params->products + k] *
               (input[b * params->products + k] - params->input_zero_point);
      }
      *output++ = finish(&params->requantize, c, bias, sum);
    }
  }
}

// Straight from the definition: every input position looks for the output position.
void oaq_reference_transpose_conv(const OaqTransposeConvParams* params, int32_t batch,
                                  int32_t height, int32_t width, const int8_t* input,
                                  const int8_t* weights, const int32_t* bias, int8_t* output) {
  int32_t unused = 0, top = 0, left = 0;
  oaq_window_output(&params->height, params->output_height, &unused, &top, NULL);
  oaq_window_output(&params->width, params->output_width, &unused, &left, NULL);
  const size_t channels = params->input_channels;
  const size_t filter_size = (size_t)(params->height.filter * params->width.filter) * channels;
  for (int32_t b = 0; b < batch; ++b) {
    const int8_t* image = input + (size_t)(b * height * width) * channels;
    for (int32_t oy = 0; oy < params->output_height; ++oy) {
      for (int32_t ox = 0; ox < params->output_width; ++ox) {
        for (size_t n = 0; n < params->output_channels; ++n) {
          int64_t sum = 0;
          for (int32_t y = 0; y < height; ++y) {
            for (int32_t x = 0; x < width; ++x) {
              const int32_t fy = oy - (y * params->height.stride - top);
              const int32_t fx = ox - (x * params->width.stride - left);
              if (fy < 0 || fy >= params->height.filter || fx < 0 || fx >= params->width.filter) {
                continue;
              }
              const int8_t* filter =
                  weights + n * filter_size + (size_t)(fy * params->width.filter + fx) * channels;
              const int8_t* codes = image + (size_t)(y * width + x) * channels;
              for (size_t c = 0; c < channels; ++c) {
                sum += filter[c] * (codes[c] - params->input_zero_point);
              }
            }
          }
          *output++ = finish(&params->requantize, n, bias, sum);
        }
      }
    }
  }
}
