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
  *op = (OaqConv2d){.params = *params, .kernels = planner->kernels, .threads = planner->threads};
  const size_t products = products_of(params);
  const size_t channels = params->output_channels / params->groups;
  op->groups = calloc(params->groups, sizeof(*op->groups));
  if (op->groups == NULL) return oaq_fail(error, "out of memory for %zu groups", params->groups);
  bool created = oaq_panels_init(products, &op->panels, error);
  for (size_t g = 0; created && g < params->groups; ++g) {
    const OaqWeights group = {weights + g * channels * products, channels, products, products, 1};
    const char* group_bias =
        bias == NULL ? NULL : (const char*)bias + g * channels * sizeof(int32_t);
    created = oaq_pack(&group, group_bias, params->input_zero_point, params->input_range,
                       planner->kernels->gemm_layout, &planner->kernels->gemm_cost, planner,
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
  oaq_panels_free(&op->panels);
  *op = (OaqConv2d){0};
}

bool oaq_conv_2d_reshape(OaqConv2d* op, int32_t batch, int32_t height, int32_t width,
                         OaqError* error) {
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
  const double row_macs = (double)products_of(&op->params) * (double)op->params.output_channels;
  op->split = oaq_split(op->threads, rows, op->panels.max_rows, OAQ_GEMM_ROWS,
                        op->params.groups * op->groups[0].num_tiles, row_macs);
  return oaq_panels_reserve(&op->panels, op->split.workers, error);
}

// The codes under the filter at one output position, padding as the zero point's code. Points into
// the input where they lie in one piece, else at the gathered copy.
static const int8_t* gather_row(const OaqConv2d* op, const int8_t* image, size_t group, int32_t oy,
                                int32_t ox, int8_t* copy) {
  const OaqConv2dParams* params = &op->params;
  const size_t channels = params->input_channels / params->groups;
  const int64_t top = (int64_t)oy * params->height.stride - op->pad_top;
  const int64_t left = (int64_t)ox * params->width.stride - op->pad_left;
  int8_t* out = copy;
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
  return copy;
}

typedef struct Run {
  const OaqConv2d* op;
  const int8_t* input;
  int8_t* output;
  bool int16;
} Run;

static void fill_panel(const Run* run, const OaqPart* part, size_t group, OaqPanel* panel) {
  const OaqConv2d* op = run->op;
  const size_t products = products_of(&op->params);
  const size_t width = (size_t)op->output_width;
  const size_t positions = (size_t)op->output_height * width;
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * op->params.input_channels;
  for (size_t m = 0; m < part->rows; ++m) {
    const size_t row = part->first_row + m;
    const size_t position = row % positions;
    const int8_t* codes =
        gather_row(op, run->input + row / positions * image_size, group,
                   (int32_t)(position / width), (int32_t)(position % width), panel->row);
    oaq_panel_set_row(panel, m, codes, products);
  }
}

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqConv2d* op = run->op;
  const OaqConv2dParams* params = &op->params;
  const OaqPart part = oaq_split_part(&op->split, index);
  const size_t group_channels = params->output_channels / params->groups;
  const size_t group_tiles = op->groups[0].num_tiles;
  OaqPanel* panel = &op->panels.panels[worker];
  int8_t* output = run->output + part.first_row * params->output_channels;
  for (size_t tile = part.first_tile; tile < part.end_tile;) {
    const size_t group = tile / group_tiles;
    const size_t end = oaq_min_size(part.end_tile, (group + 1) * group_tiles);
    const size_t first_channel = group * group_channels;
    const OaqTiles tiles = {&op->groups[group], tile - group * group_tiles,
                            end - group * group_tiles, first_channel};
    fill_panel(run, &part, group, panel);
    oaq_gemm(panel, part.rows, &tiles, op->kernels, &params->requantize, run->int16,
             output + first_channel, params->output_channels);
    tile = end;
  }
}

void oaq_conv_2d_run(OaqConv2d* op, const int8_t* input, bool int16, int8_t* output) {
  Run run = {op, input, output, int16};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
