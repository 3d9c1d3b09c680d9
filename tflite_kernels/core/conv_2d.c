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
  const OaqGemm* gemm = &planner->kernels->gemm;
  const OaqPacking packing = oaq_gemm_packing(gemm);
  bool wide = planner->any_codes && gemm->shifted;
  bool created =
      oaq_output_stage_init(&params->requantize, params->output_channels, &op->stage, error);
  for (size_t g = 0; created && g < params->groups; ++g) {
    const OaqWeights group = {weights + g * channels * products, channels, products, products, 1};
    const char* group_bias =
        bias == NULL ? NULL : (const char*)bias + g * channels * sizeof(int32_t);
    created = oaq_pack(&group, group_bias, params->input_zero_point, params->input_range, &packing,
                       planner, &op->groups[g], &op->summary, error);
    wide = wide || op->groups[g].any_wide;
  }
  created = created && oaq_panels_init(products, gemm, wide, &op->panels, error);
  if (!created) oaq_conv_2d_free(op);
  return created;
}

void oaq_conv_2d_free(OaqConv2d* op) {
  for (size_t g = 0; op->groups != NULL && g < op->params.groups; ++g) {
    oaq_packed_free(&op->groups[g]);
  }
  free(op->groups);
  oaq_output_stage_free(&op->stage);
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
  op->split = oaq_split(op->threads, rows, op->panels.max_rows, op->kernels->gemm.rows,
                        op->params.groups * op->groups[0].num_tiles, row_macs);
  return oaq_panels_reserve(&op->panels, op->split.workers, error);
}

typedef struct Run {
  const OaqConv2d* op;
  const int8_t* input;
  int8_t* output;
  bool any_codes;
} Run;

// `count` elements of a filter's row, from column `x` of the image's row `line` on; what lies
// outside of it is padding. NULL: all of them.
static void gather_columns(const OaqConv2d* op, const int8_t* line, int64_t x, size_t first_channel,
                           size_t channels, int8_t* out) {
  const OaqConv2dParams* params = &op->params;
  const int32_t zero = params->input_zero_point;
  const size_t pixel = params->input_channels;
  const int64_t count = params->width.filter;
  if (line != NULL && params->width.dilation == 1 && channels == pixel) {
    // One piece, for there is nothing between its pixels.
    const int64_t before = x < 0 ? (-x < count ? -x : count) : 0;
    const int64_t over = x + count - op->input_width;
    const int64_t after = over > 0 ? (over < count - before ? over : count - before) : 0;
    const size_t inside = (size_t)(count - before - after) * pixel;
    memset(out, zero, (size_t)before * pixel);
    if (inside > 0)
      memcpy(out + (size_t)before * pixel, line + (x + before) * (int64_t)pixel, inside);
    memset(out + (size_t)before * pixel + inside, zero, (size_t)after * pixel);
    return;
  }
  for (int64_t fx = 0; fx < count; ++fx, x += params->width.dilation, out += channels) {
    if (line == NULL || x < 0 || x >= op->input_width) {
      memset(out, zero, channels);
    } else {
      memcpy(out, line + (size_t)x * pixel + first_channel, channels);
    }
  }
}

// The codes under the filter at one output position.
static void gather_row(const OaqConv2d* op, const int8_t* image, size_t group, int32_t oy,
                       int32_t ox, int8_t* out) {
  const OaqConv2dParams* params = &op->params;
  const size_t channels = params->input_channels / params->groups;
  const size_t line_size = (size_t)op->input_width * params->input_channels;
  const int64_t top = (int64_t)oy * params->height.stride - op->pad_top;
  const int64_t left = (int64_t)ox * params->width.stride - op->pad_left;
  for (int32_t fy = 0; fy < params->height.filter; ++fy) {
    const int64_t y = top + (int64_t)fy * params->height.dilation;
    const int8_t* line = y >= 0 && y < op->input_height ? image + (size_t)y * line_size : NULL;
    gather_columns(op, line, left, group * channels, channels, out);
    out += (size_t)params->width.filter * channels;
  }
}

static OaqRows fill_panel(const Run* run, const OaqPart* part, size_t group, OaqPanel* panel) {
  const OaqConv2d* op = run->op;
  const size_t width = (size_t)op->output_width;
  const size_t positions = (size_t)op->output_height * width;
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * op->params.input_channels;
  for (size_t m = 0; m < part->rows; ++m) {
    const size_t row = part->first_row + m;
    const size_t position = row % positions;
    gather_row(op, run->input + row / positions * image_size, group, (int32_t)(position / width),
               (int32_t)(position % width), oaq_panel_row(&op->panels, panel, m));
  }
  return oaq_panel_finish(&op->panels, panel, part->rows, op->groups[group].shift);
}

// Outputs read pixels of the input, one for one.
static bool is_pointwise(const OaqConv2dParams* params) {
  return params->height.filter == 1 && params->width.filter == 1 && params->height.stride == 1 &&
         params->width.stride == 1 && params->groups == 1;
}

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqConv2d* op = run->op;
  const OaqConv2dParams* params = &op->params;
  const OaqPart part = oaq_split_part(&op->split, index);
  const size_t group_channels = params->output_channels / params->groups;
  const size_t group_tiles = op->groups[0].num_tiles;
  const size_t pixel = params->input_channels;
  int8_t* output = run->output + part.first_row * params->output_channels;
  for (size_t tile = part.first_tile; tile < part.end_tile;) {
    const size_t group = tile / group_tiles;
    const size_t end = oaq_min_size(part.end_tile, (group + 1) * group_tiles);
    const size_t first_channel = group * group_channels;
    const OaqPacked* weights = &op->groups[group];
    const OaqTiles tiles = {weights, tile - group * group_tiles, end - group * group_tiles,
                            first_channel};
    const bool in_place = is_pointwise(params) &&
                          oaq_gemm_reads_in_place(weights, &op->kernels->gemm, run->any_codes);
    const OaqRows rows = in_place ? (OaqRows){run->input + part.first_row * pixel, NULL, pixel, 0}
                                  : fill_panel(run, &part, group, &op->panels.panels[worker]);
    oaq_gemm(&rows, part.rows, &tiles, op->kernels, &op->stage, run->any_codes,
             output + first_channel, params->output_channels);
    tile = end;
  }
}

void oaq_conv_2d_run(OaqConv2d* op, const int8_t* input, bool any_codes, int8_t* output) {
  Run run = {op, input, output, any_codes};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
