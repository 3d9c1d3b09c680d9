// SPDX-License-Identifier: Apache-2.0
#include "core/conv_2d.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

static size_t products_of(const OaqConv2dParams* params) {
  return (size_t)params->height.filter * (size_t)params->width.filter *
         (params->input_channels / params->groups);
}

bool oaq_conv_2d_create(const OaqConv2dParams* params, const int8_t* weights, const void* bias,
                        const OaqPlanner* planner, OaqConv2d* op, OaqError* error) {
  *op = (OaqConv2d){.params = *params, .kernels = planner->kernels};
  const size_t products = products_of(params);
  const size_t channels = params->output_channels / params->groups;
  op->groups = calloc(params->groups, sizeof(*op->groups));
  if (op->groups == NULL) return oaq_fail(error, "out of memory for %zu groups", params->groups);
  bool created = oaq_panel_create(products, &op->panel, error);
  for (size_t g = 0; created && g < params->groups; ++g) {
    const OaqWeights group = {weights + g * channels * products, channels, products, products, 1};
    const char* group_bias =
        bias == NULL ? NULL : (const char*)bias + g * channels * sizeof(int32_t);
    created = oaq_pack(&group, group_bias, params->input_zero_point, params->input_range,
                       planner->kernels->gemm_layout, &planner->kernels->gemm_cost, planner->policy,
                       &op->groups[g], &op->summary, error);
  }
  if (!created) oaq_conv_2d_free(op);
  return created;
}

void oaq_conv_2d_free(OaqConv2d* op) {
  for (size_t g = 0; op->groups != NULL && g < op->params.groups; ++g) {
    oaq_packed_free(&op->groups[g]);
  }
  free(op->groups);
  oaq_panel_free(&op->panel);
  *op = (OaqConv2d){0};
}

bool oaq_conv_2d_reshape(OaqConv2d* op, int32_t batch, int32_t height, int32_t width,
                         OaqError* error) {
  if (batch < 0) return oaq_fail(error, "batch size %d, expected 0 or more", batch);
  op->batch = batch;
  op->input_height = height;
  op->input_width = width;
  return oaq_window_output(&op->params.height, height, &op->output_height, &op->pad_top, error) &&
         oaq_window_output(&op->params.width, width, &op->output_width, &op->pad_left, error);
}

// The codes under the filter at one output position, padding as the zero point's code. Points into
// the input where they lie in one piece, else at the gathered copy.
static const int8_t* gather_row(OaqConv2d* op, const int8_t* image, size_t group, int32_t oy,
                                int32_t ox) {
  const OaqConv2dParams* params = &op->params;
  const size_t channels = params->input_channels / params->groups;
  const int64_t top = (int64_t)oy * params->height.stride - op->pad_top;
  const int64_t left = (int64_t)ox * params->width.stride - op->pad_left;
  int8_t* out = op->panel.row;
  for (int32_t fy = 0; fy < params->height.filter; ++fy) {
    const int64_t y = top + (int64_t)fy * params->height.dilation;
    for (int32_t fx = 0; fx < params->width.filter; ++fx) {
      const int64_t x = left + (int64_t)fx * params->width.dilation;
      const bool inside = y >= 0 && y < op->input_height && x >= 0 && x < op->input_width;
      if (inside) {
        const int8_t* codes =
            image + ((size_t)y * (size_t)op->input_width + (size_t)x) * params->input_channels +
            group * channels;
        if (params->height.filter == 1 && params->width.filter == 1) return codes;
        memcpy(out, codes, channels);
      } else {
        memset(out, params->input_zero_point, channels);
      }
      out += channels;
    }
  }
  return op->panel.row;
}

void oaq_conv_2d_run(OaqConv2d* op, const int8_t* input, bool int16, int8_t* output) {
  const OaqConv2dParams* params = &op->params;
  const size_t group_channels = params->output_channels / params->groups;
  const size_t products = products_of(params);
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * params->input_channels;
  const size_t width = (size_t)op->output_width;
  const size_t positions = (size_t)op->output_height * width;
  for (int32_t image = 0; image < op->batch; ++image) {
    for (size_t begin = 0; begin < positions; begin += op->panel.max_rows) {
      const size_t rows = oaq_min_size(op->panel.max_rows, positions - begin);
      for (size_t g = 0; g < params->groups; ++g) {
        for (size_t m = 0; m < rows; ++m) {
          const int8_t* row = gather_row(op, input, g, (int32_t)((begin + m) / width),
                                         (int32_t)((begin + m) % width));
          oaq_panel_set_row(&op->panel, m, row, products);
        }
        oaq_gemm(&op->panel, rows, &op->groups[g], op->kernels, &params->requantize,
                 g * group_channels, int16,
                 output + begin * params->output_channels + g * group_channels,
                 params->output_channels);
      }
    }
    input += image_size;
    output += positions * params->output_channels;
  }
}
