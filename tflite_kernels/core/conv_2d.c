// SPDX-License-Identifier: Apache-2.0
#include "core/conv_2d.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

static size_t products_of(const OaqConv2dParams* params) {
  return (size_t)params->height.filter * (size_t)params->width.filter *
         (params->input_channels / params->groups);
}

static bool is_single(const OaqConv2dParams* params) {
  return params->height.filter == 1 && params->width.filter == 1;
}

// Where neighbouring outputs share most of what they see, copying lines costs less than gathering
// rows.
static OaqConvPath choose_path(const OaqConv2dParams* params, bool any_codes) {
  // Copied lines have no form for codes that the weights were not packed for.
  if (params->groups != 1 || any_codes) return OAQ_CONV_GATHER;
  const bool single = is_single(params);
  if (single && params->height.stride == 1 && params->width.stride == 1) return OAQ_CONV_POINTWISE;
  return !single && oaq_image_lines_fit(&params->height, &params->width) ? OAQ_CONV_LINES
                                                                         : OAQ_CONV_GATHER;
}

static void free_groups(const OaqConv2dParams* params, OaqPacked* groups) {
  for (size_t g = 0; groups != NULL && g < params->groups; ++g) oaq_packed_free(&groups[g]);
  free(groups);
}

// All groups' weights for one family; NULL on failure.
static OaqPacked* pack_groups(const OaqConv2dParams* params, const int8_t* weights,
                              const void* bias, const OaqGemm* gemm, const OaqPlanner* planner,
                              OaqPlanSummary* summary, OaqError* error) {
  const size_t products = products_of(params);
  const size_t channels = params->output_channels / params->groups;
  const OaqPacking packing = oaq_gemm_packing(gemm);
  OaqPacked* groups = calloc(params->groups, sizeof(*groups));
  if (groups == NULL) oaq_fail(error, "out of memory for %zu groups", params->groups);
  for (size_t g = 0; groups != NULL && g < params->groups; ++g) {
    const OaqWeights group = {weights + g * channels * products, channels, products, products, 1};
    const char* group_bias =
        bias == NULL ? NULL : (const char*)bias + g * channels * sizeof(int32_t);
    if (!oaq_pack(&group, group_bias, params->input_zero_point, params->input_range, &packing,
                  planner, &groups[g], summary, error)) {
      free_groups(params, groups);
      return NULL;
    }
  }
  return groups;
}

// What rows cost on a family, of `tiles` tiles whose steps and drains cost `tiles_cost`.
static float cost_of_rows(const OaqGemm* gemm, size_t tiles, float tiles_cost) {
  return (tiles_cost + (float)tiles * gemm->int16_end) / (float)gemm->rows;
}

// The least that a family may cost: drained but once.
static float least_cost(const OaqConv2dParams* params, const OaqGemm* gemm) {
  const size_t channels = params->output_channels / params->groups;
  const size_t tiles = params->groups * oaq_ceil_div(channels, gemm->layout->channels_per_tile);
  const float steps = (float)oaq_layout_steps(gemm->layout, products_of(params));
  const float tile = gemm->cost.int16_step * steps + gemm->cost.int16_drain;
  return cost_of_rows(gemm, tiles, (float)tiles * tile);
}

// Packs for the family that `op` has, or for `broadcast` where that costs less.
static bool pack_cheaper(OaqConv2d* op, const int8_t* weights, const void* bias,
                         const OaqPlanner* planner, OaqError* error) {
  const OaqConv2dParams* params = &op->params;
  op->groups = pack_groups(params, weights, bias, op->gemm, planner, &op->summary, error);
  if (op->groups == NULL) return false;
  const OaqGemm* other = planner->kernels->broadcast;
  const float cost = cost_of_rows(op->gemm, op->summary.tiles, op->summary.cost);
  if (other == NULL || planner->any_codes || planner->policy == OAQ_POLICY_EXACT ||
      least_cost(params, other) >= cost) {
    return true;
  }
  OaqPlanSummary summary = {0};
  OaqPacked* groups = pack_groups(params, weights, bias, other, planner, &summary, error);
  if (groups == NULL) return false;
  const bool cheaper = cost_of_rows(other, summary.tiles, summary.cost) < cost;
  free_groups(params, cheaper ? op->groups : groups);
  if (!cheaper) return true;
  op->groups = groups;
  op->gemm = other;
  op->summary = summary;
  return true;
}

bool oaq_conv_2d_create(const OaqConv2dParams* params, const int8_t* weights, const void* bias,
                        const OaqPlanner* planner, OaqConv2d* op, OaqError* error) {
  const size_t group_channels = params->output_channels / params->groups;
  const OaqGemm* gemm = oaq_kernels_gemm(planner->kernels, group_channels);
  const bool any_codes = planner->any_codes && gemm->shifted;
  *op = (OaqConv2d){.params = *params,
                    .gemm = gemm,
                    .output = planner->kernels->output,
                    .threads = planner->threads,
                    .best_path = choose_path(params, any_codes),
                    .use = {.scratch = planner->scratch}};
  bool created =
      oaq_output_stage_init(&params->requantize, params->output_channels, &op->stage, error) &&
      pack_cheaper(op, weights, bias, planner, error);
  bool wide = any_codes;
  for (size_t g = 0; created && g < params->groups; ++g) wide = wide || op->groups[g].any_wide;
  created = created && oaq_panels_init(products_of(params), op->gemm, wide, &op->panels, error);
  if (created && op->best_path == OAQ_CONV_LINES) {
    // Tiles that are not int16 are all wide, or none is.
    const bool narrow = !wide || op->summary.tiles_int16 > 0;
    created = oaq_image_lines_init(&params->height, &params->width, params->input_channels,
                                   op->gemm, narrow, wide, &op->lines, error);
  }
  if (!created) oaq_conv_2d_free(op);
  return created;
}

void oaq_conv_2d_free(OaqConv2d* op) {
  free_groups(&op->params, op->groups);
  oaq_output_stage_free(&op->stage);
  oaq_image_lines_free(&op->lines);
  *op = (OaqConv2d){0};
}

size_t oaq_conv_2d_bytes(const OaqConv2d* op) {
  size_t bytes = op->stage.bytes + op->params.groups * sizeof(*op->groups);
  for (size_t g = 0; g < op->params.groups; ++g) bytes += oaq_packed_bytes(&op->groups[g]);
  return op->lines.offsets != NULL ? bytes + oaq_image_lines_bytes(&op->lines) : bytes;
}

// Whether rows of the product have to be put together in a panel.
static bool needs_panels(const OaqConv2d* op) {
  switch (op->path) {
    case OAQ_CONV_POINTWISE:
      // Panels are wide where the op may meet any codes.
      return !oaq_gemm_reads_in_place(&op->groups[0], op->gemm, op->panels.wide);
    case OAQ_CONV_LINES:
      return op->lines.segment_steps == 0;
    default:
      return true;
  }
}

static bool is_placed(const OaqConv2d* op) { return op->params.placement.channels > 0; }

// Adds `rows` rows of outputs that have to be placed to what a worker's block holds.
static bool reserve_outputs(OaqConv2d* op, size_t rows, OaqError* error) {
  size_t size = 0;
  return !is_placed(op) ||
         (oaq_size_multiply(rows, op->params.output_channels, &size) &&
          oaq_scratch_add(size, 1, &op->use.size, &op->outputs_offset)) ||
         oaq_fail(error, "%zu outputs of %zu channels are too many", rows,
                  op->params.output_channels);
}

// What a worker needs for its largest part.
static bool reserve_scratch(OaqConv2d* op, OaqError* error) {
  const OaqSplit* split = &op->split;
  const size_t columns = (size_t)op->output_width;
  size_t rows = oaq_min_size(split->part_rows, split->rows);
  op->use.size = 0;
  op->use.workers = split->workers;
  size_t outputs = rows;
  if (op->path == OAQ_CONV_LINES) {
    const size_t lines = oaq_min_size(rows, (size_t)op->output_height);
    if (!oaq_image_lines_reshape(&op->lines, lines, columns, &op->use.size, error)) return false;
    rows = oaq_min_size(op->panels.max_rows, columns);
    outputs = op->lines.max_lines * columns;
  }
  return reserve_outputs(op, outputs, error) &&
         (!needs_panels(op) || oaq_panels_add(&op->panels, rows, &op->use.size, error)) &&
         oaq_scratch_reserve(&op->use, error);
}

static bool place_windows(OaqConv2d* op, int32_t height, int32_t width, OaqError* error) {
  op->input_height = height;
  op->input_width = width;
  if (is_placed(op)) {
    const OaqPlacement* placement = &op->params.placement;
    op->output_height = placement->height.count;
    op->output_width = placement->width.count;
    op->pad_top = placement->height.padding;
    op->pad_left = placement->width.padding;
    return true;
  }
  return oaq_window_output(&op->params.height, height, &op->output_height, &op->pad_top, error) &&
         oaq_window_output(&op->params.width, width, &op->output_width, &op->pad_left, error);
}

// Whether outputs of this shape can take, or should, the best path.
static bool fits_path(const OaqConv2d* op) {
  switch (op->best_path) {
    case OAQ_CONV_POINTWISE:
      return op->pad_top == 0 && op->pad_left == 0 && op->output_height == op->input_height &&
             op->output_width == op->input_width;
    case OAQ_CONV_LINES:
      // A kernel's call takes rows of one line, which gathered ones need not be of.
      return 2 * (size_t)op->output_width > op->gemm->rows;
    default:
      return true;
  }
}

bool oaq_conv_2d_reshape(OaqConv2d* op, int32_t batch, int32_t height, int32_t width,
                         OaqError* error) {
  if (batch < 0) return oaq_fail(error, "batch size %d, expected 0 or more", batch);
  op->batch = batch;
  if (!place_windows(op, height, width, error)) return false;
  op->path = fits_path(op) ? op->best_path : OAQ_CONV_GATHER;
  const size_t columns = (size_t)op->output_width;
  size_t lines = 0;
  size_t rows = 0;
  if (!oaq_size_multiply((size_t)op->output_height, (size_t)batch, &lines) ||
      !oaq_size_multiply(lines, columns, &rows)) {
    return oaq_fail(error, "%d images of %d by %d outputs are too many", batch, op->output_height,
                    op->output_width);
  }
  const double row_macs = (double)products_of(&op->params) * (double)op->params.output_channels;
  const size_t tiles = op->params.groups * op->groups[0].num_tiles;
  if (op->path == OAQ_CONV_LINES) {
    op->split = oaq_split(op->threads, columns == 0 ? 0 : lines, lines, 1, tiles,
                          row_macs * (double)columns);
  } else {
    op->split = oaq_split(op->threads, rows, op->panels.max_rows, op->gemm->rows, tiles, row_macs);
  }
  return reserve_scratch(op, error);
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
    if (inside > 0) {
      memcpy(out + (size_t)before * pixel, line + (x + before) * (int64_t)pixel, inside);
    }
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

static OaqInput gather_rows(const Run* run, const OaqPart* part, size_t group,
                            const OaqPanel* panel) {
  const OaqConv2d* op = run->op;
  const OaqConv2dParams* params = &op->params;
  const size_t width = (size_t)op->output_width;
  const size_t height = (size_t)op->output_height;
  const size_t pixel = params->input_channels;
  const size_t line_size = (size_t)op->input_width * pixel;
  const bool pixels = params->groups == 1 && is_single(params) && !is_placed(op);
  size_t ox = part->first_row % width;
  size_t oy = part->first_row / width % height;
  const int8_t* image =
      run->input + part->first_row / (width * height) * (size_t)op->input_height * line_size;
  for (size_t m = 0; m < part->rows; ++m) {
    int8_t* row = oaq_panel_row(&op->panels, panel, m);
    if (pixels) {
      const size_t y = oy * (size_t)params->height.stride;
      memcpy(row, image + y * line_size + ox * (size_t)params->width.stride * pixel, pixel);
    } else {
      gather_row(op, image, group, (int32_t)oy, (int32_t)ox, row);
    }
    if (++ox < width) continue;
    ox = 0;
    if (++oy < height) continue;
    oy = 0;
    image += (size_t)op->input_height * line_size;
  }
  return oaq_panel_finish(&op->panels, panel, part->rows, &op->groups[group]);
}

static OaqInput pointwise_rows(const Run* run, const OaqPart* part, const OaqPanel* panel) {
  const OaqConv2d* op = run->op;
  const size_t pixel = op->params.input_channels;
  const int8_t* pixels = run->input + part->first_row * pixel;
  if (oaq_gemm_reads_in_place(&op->groups[0], op->gemm, run->any_codes)) {
    return oaq_rows_in_place(&op->groups[0], pixels, part->rows);
  }
  for (size_t m = 0; m < part->rows; ++m) {
    memcpy(oaq_panel_row(&op->panels, panel, m), pixels + m * pixel, pixel);
  }
  return oaq_panel_finish(&op->panels, panel, part->rows, &op->groups[0]);
}

// Where a worker puts outputs from row `first` on.
static int8_t* outputs_at(const Run* run, size_t first, size_t worker) {
  const OaqConv2d* op = run->op;
  if (!is_placed(op)) return run->output + first * op->params.output_channels;
  return (int8_t*)oaq_scratch_worker(&op->use, worker) + op->outputs_offset;
}

// Channels of the part's tiles of outputs that outputs_at gave room for, to their place.
static void place_outputs(const Run* run, const OaqPart* part, size_t first, size_t count,
                          const int8_t* outputs) {
  const OaqConv2d* op = run->op;
  if (!is_placed(op)) return;
  const size_t per_tile = op->gemm->layout->channels_per_tile;
  const size_t channels = op->params.output_channels;
  oaq_placement_copy(&op->params.placement, first, count, part->first_tile * per_tile,
                     oaq_min_size(part->end_tile * per_tile, channels), outputs, channels,
                     run->output);
}

// Rows and tiles of one part that is no lines.
static void run_rows(const Run* run, const OaqPart* part, size_t worker) {
  const OaqConv2d* op = run->op;
  const OaqConv2dParams* params = &op->params;
  const OaqPanel panel = oaq_panels_at(&op->panels, oaq_scratch_worker(&op->use, worker));
  const size_t group_channels = params->output_channels / params->groups;
  const size_t group_tiles = op->groups[0].num_tiles;
  int8_t* output = outputs_at(run, part->first_row, worker);
  for (size_t tile = part->first_tile; tile < part->end_tile;) {
    const size_t group = tile / group_tiles;
    const size_t end = oaq_min_size(part->end_tile, (group + 1) * group_tiles);
    const size_t first_channel = group * group_channels;
    const OaqTiles tiles = {&op->groups[group], tile - group * group_tiles,
                            end - group * group_tiles, first_channel};
    const OaqInput rows = op->path == OAQ_CONV_POINTWISE ? pointwise_rows(run, part, &panel)
                                                         : gather_rows(run, part, group, &panel);
    oaq_gemm(&rows, &tiles, op->gemm, op->output, &op->stage, run->any_codes,
             output + first_channel, params->output_channels);
    tile = end;
  }
  place_outputs(run, part, part->first_row, part->rows, output);
}

// A line of outputs whose rows are no whole steps.
static void run_gathered_line(const Run* run, const OaqLineCopy* copy, size_t line,
                              const OaqPanel* panel, const OaqTiles* tiles, int8_t* output) {
  const OaqConv2d* op = run->op;
  for (size_t column = 0; column < op->lines.columns; column += op->panels.max_rows) {
    const size_t rows = oaq_min_size(op->panels.max_rows, op->lines.columns - column);
    oaq_image_lines_gather(&op->lines, copy, line, column, rows, (uint8_t*)panel->codes,
                           op->panels.row_size);
    const OaqInput input = oaq_panel_finish_shifted(&op->panels, panel, rows, tiles->weights);
    oaq_gemm(&input, tiles, op->gemm, op->output, &op->stage, run->any_codes,
             output + column * op->params.output_channels, op->params.output_channels);
  }
}

static void run_lines(const Run* run, const OaqPart* part, size_t worker) {
  const OaqConv2d* op = run->op;
  const OaqConv2dParams* params = &op->params;
  const OaqPacked* weights = &op->groups[0];
  char* block = oaq_scratch_worker(&op->use, worker);
  const OaqLineCopy copy = oaq_image_lines_at(&op->lines, block);
  const OaqPanel panel = oaq_panels_at(&op->panels, block);
  const OaqTiles tiles = {weights, part->first_tile, part->end_tile, 0};
  const size_t height = (size_t)op->output_height;
  const size_t line_size = op->lines.columns * params->output_channels;
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * params->input_channels;
  for (size_t line = part->first_row, end = line + part->rows; line < end;) {
    const size_t first = line % height;
    const size_t count =
        oaq_min_size(oaq_min_size(op->lines.max_lines, end - line), height - first);
    const OaqImage image = {run->input + line / height * image_size,
                            op->input_height,
                            op->input_width,
                            op->pad_top,
                            op->pad_left,
                            params->input_channels,
                            params->input_zero_point};
    oaq_image_lines_copy(&op->lines, &copy, &image, first, count, weights->shift);
    int8_t* output = outputs_at(run, line * op->lines.columns, worker);
    if (op->lines.segment_steps > 0) {
      const OaqInput input = oaq_image_lines_input(&op->lines, &copy, count);
      oaq_gemm(&input, &tiles, op->gemm, op->output, &op->stage, run->any_codes, output,
               params->output_channels);
    } else {
      for (size_t i = 0; i < count; ++i) {
        run_gathered_line(run, &copy, i, &panel, &tiles, output + i * line_size);
      }
    }
    place_outputs(run, part, line * op->lines.columns, count * op->lines.columns, output);
    line += count;
  }
}

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqPart part = oaq_split_part(&run->op->split, index);
  if (run->op->path == OAQ_CONV_LINES) {
    run_lines(run, &part, worker);
  } else {
    run_rows(run, &part, worker);
  }
}

void oaq_conv_2d_run(OaqConv2d* op, const int8_t* input, bool any_codes, int8_t* output) {
  Run run = {op, input, output, any_codes};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
