// SPDX-License-Identifier: Apache-2.0
#include "core/depthwise_conv_2d.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

// Copied rows start at multiples of it: no vector load crosses a cache line.
enum { kAlignment = OAQ_SCRATCH_ALIGNMENT };

// Of a copied row. A dilation that asks for more has nearly all of its taps in the padding.
enum { kRowBytes = 1 << 24 };

// A tap takes as long as so many products of a convolution: what it reads is used but once.
enum { kTapWork = 8 };

// Of the input that a part reads: what all of its tiles find in the second-level cache.
enum { kPartBytes = 128 * 1024 };

static const OaqDepthwiseFilter* find_filter(const OaqDepthwise* depthwise,
                                             const OaqDepthwiseConv2dParams* params) {
  for (size_t i = 0; i < depthwise->num_filters; ++i) {
    const OaqDepthwiseFilter* filter = &depthwise->filters[i];
    if (filter->height == params->height.filter && filter->width == params->width.filter &&
        filter->stride == params->width.stride && params->width.dilation == 1) {
      return filter;
    }
  }
  return NULL;
}

static size_t count_taps(const OaqDepthwiseConv2d* op) {
  return (size_t)op->params.height.filter * (size_t)op->params.width.filter;
}

// Codes of one pixel of padding, or of a tile's channels where those are more.
static size_t count_padding(const OaqDepthwiseConv2d* op) {
  const size_t per_tile = op->kernels->depthwise->layout->channels_per_tile;
  return op->params.input_channels < per_tile ? per_tile : op->params.input_channels;
}

static size_t aligned_size(size_t size) { return oaq_ceil_div(size, kAlignment) * kAlignment; }

// Of copied rows for so many outputs; false where they would be too long.
static bool find_row_size(const OaqDepthwiseConv2dParams* params, size_t outputs, size_t pixel,
                          size_t* columns, size_t* size) {
  size_t before = 0;
  size_t under = 0;
  if (!oaq_size_multiply(outputs, (size_t)params->width.stride, &before) ||
      !oaq_size_multiply((size_t)params->width.filter, (size_t)params->width.dilation, &under) ||
      before > kRowBytes || under > kRowBytes) {
    return false;
  }
  // One more than the columns under the filter: kernels read pairs.
  *columns = before + under + 1;
  *size = aligned_size(*columns * pixel);
  return *size <= kRowBytes;
}

// Packs the weights in the order of the layout's taps.
static bool pack(OaqDepthwiseConv2d* op, const int8_t* weights, const void* bias,
                 const OaqPlanner* planner, OaqError* error) {
  const OaqDepthwise* depthwise = op->kernels->depthwise;
  const size_t width = (size_t)op->params.width.filter;
  const size_t taps = count_taps(op);
  const size_t channels = op->params.input_channels * op->params.depth_multiplier;
  op->order = calloc(taps, sizeof(*op->order));
  int8_t* ordered = calloc(taps, channels);
  if (op->order == NULL || ordered == NULL) {
    free(ordered);
    return oaq_fail(error, "out of memory for %zu taps of %zu channels", taps, channels);
  }
  oaq_depthwise_order(depthwise->layout, (size_t)op->params.height.filter, width, op->order);
  for (size_t t = 0; t < taps; ++t) {
    const OaqTap tap = op->order[t];
    memcpy(ordered + t * channels, weights + (tap.row * width + tap.column) * channels, channels);
  }
  const OaqWeights matrix = {ordered, channels, taps, 1, channels};
  const OaqPacking packing = {.layout = depthwise->layout,
                              .cost = op->filter != NULL ? &op->filter->cost : &depthwise->cost,
                              .int16 = true,
                              .shifted = depthwise->shifted,
                              .exact_wide = depthwise->exact_wide,
                              .exact_pairs = depthwise->i32_pairs != NULL};
  const size_t narrow = depthwise->form.pixel, wide = depthwise->wide_form.pixel;
  size_t most_columns = 0, most_bytes = 0;
  OaqPlanner own = *planner;
  // Where rows may be too long to copy, int16 tiles have to know the exact path's biases.
  if (!find_row_size(&op->params, OAQ_DEPTHWISE_COLUMNS, narrow > wide ? narrow : wide,
                     &most_columns, &most_bytes)) {
    own.any_codes = true;
  }
  const bool packed = oaq_pack(&matrix, bias, op->params.input_zero_point, op->params.input_range,
                               &packing, &own, &op->packed, &op->summary, error);
  free(ordered);
  return packed;
}

bool oaq_depthwise_conv_2d_create(const OaqDepthwiseConv2dParams* params, const int8_t* weights,
                                  const void* bias, const OaqPlanner* planner,
                                  OaqDepthwiseConv2d* op, OaqError* error) {
  const OaqDepthwise* depthwise = planner->kernels->depthwise;
  *op = (OaqDepthwiseConv2d){.params = *params,
                             .kernels = planner->kernels,
                             .filter = find_filter(depthwise, params),
                             .threads = planner->threads,
                             .use = {.scratch = planner->scratch}};
  const size_t channels = params->input_channels * params->depth_multiplier;
  if (!oaq_output_stage_init(&params->requantize, channels, &op->stage, error) ||
      !pack(op, weights, bias, planner, error)) {
    oaq_depthwise_conv_2d_free(op);
    return false;
  }
  op->any_codes = planner->any_codes;
  const size_t padding = count_padding(op);
  op->padding = malloc(padding);
  if (op->padding == NULL) {
    oaq_depthwise_conv_2d_free(op);
    return oaq_fail(error, "out of memory for %zu channels", channels);
  }
  memset(op->padding, params->input_zero_point, padding);
  return true;
}

static void free_padding_rows(OaqDepthwiseConv2d* op) {
  free(op->padding_memory);
  op->padding_memory = NULL;
  op->padding_bytes = 0;
}

void oaq_depthwise_conv_2d_free(OaqDepthwiseConv2d* op) {
  free_padding_rows(op);
  oaq_packed_free(&op->packed);
  oaq_output_stage_free(&op->stage);
  free(op->order);
  free(op->padding);
  *op = (OaqDepthwiseConv2d){0};
}

size_t oaq_depthwise_conv_2d_bytes(const OaqDepthwiseConv2d* op) {
  return op->stage.bytes + oaq_packed_bytes(&op->packed) + count_taps(op) * sizeof(*op->order) +
         count_padding(op) + op->padding_bytes;
}

static char* align(void* memory) {
  return (char*)memory + (kAlignment - (uintptr_t)memory % kAlignment) % kAlignment;
}

// Whether the filter is ever above or below the image.
static bool pads_rows(const OaqDepthwiseConv2d* op) {
  const OaqWindow* height = &op->params.height;
  const int64_t last = (int64_t)(op->output_height - 1) * height->stride - op->pad_top;
  const int64_t under = (int64_t)(height->filter - 1) * height->dilation;
  return op->pad_top > 0 || last + under >= op->input_height;
}

// One for each form that tiles have.
static bool make_padding_rows(OaqDepthwiseConv2d* op) {
  const OaqDepthwise* depthwise = op->kernels->depthwise;
  bool narrow = false;
  for (size_t i = 0; i < op->packed.num_tiles; ++i) narrow = narrow || !op->packed.tiles[i].wide;
  if (!pads_rows(op)) return true;
  // A row is limited by kRowBytes.
  const size_t size = narrow ? aligned_size(op->row_columns * depthwise->form.pixel) : 0;
  const size_t wide_size =
      op->packed.any_wide ? aligned_size(op->row_columns * depthwise->wide_form.pixel) : 0;
  const size_t bytes = size + wide_size + kAlignment - 1;
  op->padding_memory = calloc(1, bytes);
  if (op->padding_memory == NULL) return false;
  op->padding_bytes = bytes;
  op->padding_row = align(op->padding_memory);
  op->wide_padding_row = op->padding_row + size;
  const int32_t shift = op->packed.shift;
  if (narrow) depthwise->form.copy(op->row_columns, op->padding, 0, shift, op->padding_row);
  if (op->packed.any_wide) {
    depthwise->wide_form.copy(op->row_columns, op->padding, 0, shift, op->wide_padding_row);
  }
  return true;
}

// Whether some codes are gathered for one output position at a time, which no kernel reads.
static bool gathers(const OaqDepthwiseConv2d* op) {
#ifdef OAQ_COUNT_OVERFLOWS
  (void)op;
  return true;
#else
  return op->scattered || (op->any_codes && op->kernels->depthwise->shifted);
#endif
}

// What a worker needs.
static bool reserve_scratch(OaqDepthwiseConv2d* op, OaqError* error) {
  const size_t height = (size_t)op->params.height.filter;
  const OaqLayout* layout = op->packed.layout;
  const size_t taps = op->packed.steps * layout->per_lane;
  size_t* size = &op->use.size;
  size_t rows = 0;
  *size = 0;
  op->use.workers = op->split.workers;
  const bool fits =
      oaq_scratch_add(height, op->row_size, size, &rows) &&
      oaq_scratch_add(height, sizeof(int64_t), size, &op->held_offset) &&
      oaq_scratch_add(height, sizeof(void*), size, &op->under_offset) &&
      oaq_scratch_add(taps, sizeof(void*), size, &op->taps_offset) &&
      (!gathers(op) ||
       oaq_scratch_add(taps, layout->channels_per_tile * sizeof(int16_t), size, &op->codes_offset));
  if (!fits) return oaq_fail(error, "a filter of %zu rows is too large", height);
  return oaq_scratch_reserve(&op->use, error);
}

static OaqDepthwiseScratch scratch_in(const OaqDepthwiseConv2d* op, char* block) {
  return (OaqDepthwiseScratch){.rows = block,
                               .held = (void*)(block + op->held_offset),
                               .under = (void*)(block + op->under_offset),
                               .taps = (void*)(block + op->taps_offset),
                               .codes = gathers(op) ? (void*)(block + op->codes_offset) : NULL};
}

// How long copied rows are, and rows of padding.
static bool make_rows(OaqDepthwiseConv2d* op, OaqError* error) {
  const OaqDepthwise* depthwise = op->kernels->depthwise;
  const size_t pixel = op->packed.any_wide ? depthwise->wide_form.pixel : depthwise->form.pixel;
  free_padding_rows(op);
  op->scattered =
      !find_row_size(&op->params, op->segment_columns, pixel, &op->row_columns, &op->row_size);
  if (op->scattered) op->row_size = 0;
  return op->scattered || make_padding_rows(op) ||
         oaq_fail(error, "out of memory for rows of %zu columns", op->row_columns);
}

// Rows of the input that the filter sees at two neighbouring output rows, in output rows.
static size_t shared_rows(const OaqWindow* height) {
  const int64_t seen = (int64_t)(height->filter - 1) * height->dilation + 1;
  return seen <= height->stride ? 0 : (size_t)((seen - height->stride) / height->stride);
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
  size_t outputs = 0;
  if (!oaq_size_multiply((size_t)op->output_height, (size_t)op->output_width, &outputs) ||
      !oaq_size_multiply(outputs, (size_t)batch, &outputs)) {
    return oaq_fail(error, "%d images of %d by %d outputs are too many", batch, op->output_height,
                    op->output_width);
  }
  const size_t columns = (size_t)op->output_width;
  op->segments = oaq_ceil_div(columns, OAQ_DEPTHWISE_COLUMNS);
  op->segment_columns = op->segments == 0 ? 0 : oaq_ceil_div(columns, op->segments);
  const size_t rows = (size_t)batch * (size_t)op->output_height * op->segments;
  const double macs = kTapWork * (double)op->packed.products * (double)op->packed.channels;
  const double read = (double)op->segment_columns * (double)op->params.width.stride *
                      (double)op->params.height.stride * (double)op->params.input_channels;
  // So many that rows shared by two parts, which both copy, are few.
  const size_t least = 4 * (size_t)op->params.height.filter;
  const size_t most = read * (double)least > kPartBytes ? least : (size_t)(kPartBytes / (read + 1));
  size_t step = oaq_min_size(4 * shared_rows(&op->params.height) + 1, most);
  if (oaq_ceil_div(rows, step) * op->packed.num_tiles < oaq_threads_count(op->threads)) step = 1;
  op->split = oaq_split(op->threads, rows, most, step, op->packed.num_tiles,
                        macs * (double)op->segment_columns);
  return make_rows(op, error) && reserve_scratch(op, error);
}

// Channels [first, first + count) of the output, in a tile whose pixels lie in `form`.
typedef struct Channels {
  size_t first, count;
  const OaqDepthwiseForm* form;
  bool wide;
  OaqDepthwiseI16Codes codes;  // the kernel that ends in the output stage, NULL where none does
} Channels;

// Output columns [first, first + count), and the columns under the filter: `before` and `after` of
// padding, and `inside` from column x of the image on.
typedef struct Segment {
  size_t first, count;
  size_t before, inside, after;
  size_t x;
} Segment;

typedef struct Run {
  const OaqDepthwiseConv2d* op;
  const int8_t *input, *input_end;
  int8_t* output;
  bool any_codes;
} Run;

// Pixels of the image from `in` on, whose tile can't be read as it lies there.
static void copy_one_by_one(const OaqDepthwiseConv2d* op, const Channels* channels, size_t columns,
                            const int8_t* in, char* out) {
  int8_t codes[OAQ_MAX_TILE_CHANNELS] = {0};
  const size_t multiplier = op->params.depth_multiplier;
  for (size_t n = 0; n < columns; ++n, in += op->params.input_channels) {
    for (size_t c = 0; c < channels->count; ++c) codes[c] = in[(channels->first + c) / multiplier];
    channels->form->copy(1, codes, 0, op->packed.shift, out + n * channels->form->pixel);
  }
}

static void copy_pixels(const Run* run, const Channels* channels, size_t columns, const int8_t* in,
                        char* out) {
  const OaqDepthwiseConv2d* op = run->op;
  const size_t per_tile = op->packed.layout->channels_per_tile;
  const size_t pixel = op->params.input_channels;
  size_t whole = columns;
  if (op->params.depth_multiplier > 1) {
    whole = 0;
  } else if (channels->count < per_tile) {
    // Such a tile reads the next pixel's channels as well, for padded weights, unless the input
    // ends there.
    const size_t left = (size_t)(run->input_end - in) - channels->first;
    whole = left < per_tile ? 0 : oaq_min_size(columns, (left - per_tile) / pixel + 1);
  }
  if (whole > 0) {
    channels->form->copy(whole, in + channels->first, pixel, op->packed.shift, out);
  }
  if (whole < columns) {
    copy_one_by_one(op, channels, columns - whole, in + whole * pixel,
                    out + whole * channels->form->pixel);
  }
}

static Segment find_segment(const OaqDepthwiseConv2d* op, size_t index) {
  const OaqWindow* width = &op->params.width;
  Segment segment = {.first = index * op->segment_columns};
  segment.count = oaq_min_size(op->segment_columns, (size_t)op->output_width - segment.first);
  const int64_t left = (int64_t)segment.first * width->stride - op->pad_left;
  const int64_t under = (int64_t)(segment.count - 1) * width->stride +
                        (int64_t)(width->filter - 1) * width->dilation + 1;
  const int64_t before = left < 0 ? (-left < under ? -left : under) : 0;
  const int64_t over = left + under - op->input_width;
  const int64_t after = over > 0 ? (over < under - before ? over : under - before) : 0;
  segment.before = (size_t)before;
  segment.inside = (size_t)(under - before - after);
  segment.after = (size_t)after;
  segment.x = (size_t)(left + before);
  return segment;
}

// Finds the rows under the filter of output row oy; copies those that are not held yet.
static void find_rows(const Run* run, const Channels* channels, const Segment* segment,
                      const int8_t* image, size_t oy, const OaqDepthwiseScratch* scratch) {
  const OaqDepthwiseConv2d* op = run->op;
  const OaqDepthwiseConv2dParams* params = &op->params;
  const size_t height = (size_t)params->height.filter;
  const int64_t top = (int64_t)oy * params->height.stride - op->pad_top;
  // Rows under one filter never share a place, for they are a dilation apart.
  const int64_t dilation = params->height.dilation;
  size_t place = top > 0 ? (uint32_t)top / (uint32_t)dilation % (uint32_t)height : 0;
  int64_t y = top;
  for (size_t i = 0; i < height; ++i, y += dilation) {
    if (y < 0 || y >= op->input_height) {
      scratch->under[i] = channels->wide ? op->wide_padding_row : op->padding_row;
      continue;
    }
    char* row = scratch->rows + place * op->row_size;
    if (scratch->held[place] != y) {
      if (segment->inside > 0) {
        const size_t first = (size_t)y * (size_t)op->input_width + segment->x;
        copy_pixels(run, channels, segment->inside, image + first * params->input_channels,
                    row + segment->before * channels->form->pixel);
      }
      scratch->held[place] = y;
    }
    scratch->under[i] = row;
    place = place + 1 == height ? 0 : place + 1;
  }
}

// Points `taps` at their pixels in the rows that were found, for the first output.
static void find_taps(const OaqDepthwiseConv2d* op, const Channels* channels,
                      const OaqDepthwiseScratch* scratch) {
  const size_t step = (size_t)op->params.width.dilation * channels->form->pixel;
  const size_t taps = op->packed.products;
  for (size_t t = 0; t < taps; ++t) {
    scratch->taps[t] = (const char*)scratch->under[op->order[t].row] + op->order[t].column * step;
  }
  // What pads the last step has zero weights.
  const size_t padded = op->packed.steps * op->packed.layout->per_lane;
  for (size_t t = taps; t < padded; ++t) scratch->taps[t] = scratch->taps[taps - 1];
}

static void forget_rows(const OaqDepthwiseConv2d* op, const OaqDepthwiseScratch* scratch) {
  for (size_t i = 0; i < (size_t)op->params.height.filter; ++i) scratch->held[i] = -1;
}

// Of the places that rows are copied to: the copies of a segment leave it as it is.
static void pad_rows(const OaqDepthwiseConv2d* op, const Channels* channels, const Segment* segment,
                     const OaqDepthwiseScratch* scratch) {
  const OaqDepthwiseForm* form = channels->form;
  const int32_t shift = op->packed.shift;
  for (size_t i = 0; i < (size_t)op->params.height.filter; ++i) {
    char* row = scratch->rows + i * op->row_size;
    char* behind = row + (segment->before + segment->inside) * form->pixel;
    if (segment->before > 0) form->copy(segment->before, op->padding, 0, shift, row);
    if (segment->after > 0) form->copy(segment->after, op->padding, 0, shift, behind);
  }
}

// For the rows that were found.
static void multiply(const OaqDepthwiseConv2d* op, const OaqTile* tile, const Channels* channels,
                     bool int16, size_t columns, const OaqDepthwiseScratch* scratch, int32_t* acc) {
  const OaqDepthwise* depthwise = op->kernels->depthwise;
  const OaqPacked* packed = &op->packed;
  const size_t stride = (size_t)op->params.width.stride * channels->form->pixel;
  const OaqDepthwiseI32 exact = tile->paired ? depthwise->i32_pairs : depthwise->i32;
  const bool fixed = op->filter != NULL && (int16 ? tile->drains.num_blocks == 1
                                                  : tile->paired || depthwise->i32_pairs == NULL);
  const void* const* from = scratch->under;
  if (!fixed) {
    find_taps(op, channels, scratch);
    from = scratch->taps;
  }
  if (int16) {
    const OaqDepthwiseI16 kernel = fixed ? op->filter->i16 : depthwise->i16;
    kernel(columns, &tile->drains, from, stride, tile->weights,
           packed->bias_int16 + channels->first, acc);
  } else {
    const OaqDepthwiseI32 kernel = fixed ? op->filter->i32 : exact;
    kernel(columns, packed->steps, from, stride, tile->weights,
           packed->bias_exact + channels->first, acc);
  }
}

// The kernel for the same into codes, without sums in memory; NULL where there is none.
static OaqDepthwiseI16Codes find_codes(const OaqDepthwiseConv2d* op, const OaqTile* tile,
                                       const Channels* channels) {
  const bool fits = op->filter != NULL && tile->int16 && tile->drains.num_blocks == 1 &&
                    channels->count == op->packed.layout->channels_per_tile &&
                    oaq_output_stage_is_plain(&op->stage, channels->first, channels->count);
  return fits ? op->filter->i16_codes : NULL;
}

// The codes under the filter at one output position, less the shift, as [taps][channels of a tile].
static void gather(const OaqDepthwiseConv2d* op, const Channels* channels, const int8_t* image,
                   size_t oy, size_t ox, int16_t* codes) {
  const OaqDepthwiseConv2dParams* params = &op->params;
  for (size_t t = 0; t < op->packed.products; ++t) {
    const OaqTap tap = op->order[t];
    const int64_t y = (int64_t)oy * params->height.stride - op->pad_top +
                      (int64_t)tap.row * params->height.dilation;
    const int64_t x = (int64_t)ox * params->width.stride - op->pad_left +
                      (int64_t)tap.column * params->width.dilation;
    const bool inside = y >= 0 && y < op->input_height && x >= 0 && x < op->input_width;
    const int8_t* pixel =
        inside ? image + (size_t)(y * op->input_width + x) * params->input_channels : op->padding;
    for (size_t c = 0; c < channels->count; ++c) {
      const int32_t code = pixel[(channels->first + c) / params->depth_multiplier];
      codes[t * op->packed.layout->channels_per_tile + c] = (int16_t)(code - op->packed.shift);
    }
  }
}

// What no kernel reads, times the weights of any tile: codes outside the range of a shifted
// family's int16 tile, which only an op that was registered without the delegate may meet, and
// scattered ones.
static void multiply_gathered(const OaqDepthwiseConv2d* op, const OaqTile* tile,
                              const Channels* channels, const int16_t* codes, int32_t* acc) {
  const OaqLayout* layout = op->packed.layout;
  const size_t per_tile = layout->channels_per_tile;
  for (size_t c = 0; c < channels->count; ++c) {
    uint32_t sum = (uint32_t)op->packed.bias_exact[channels->first + c];
    for (size_t t = 0; t < op->packed.products; ++t) {
      const size_t step = t / layout->per_lane;
      const size_t at = (step * per_tile + c) * layout->per_lane + t % layout->per_lane;
      const int32_t q =
          tile->wide ? ((const int16_t*)tile->weights)[at] : ((const int8_t*)tile->weights)[at];
      sum += (uint32_t)(codes[t * per_tile + c] * q);
    }
    acc[c] = (int32_t)sum;
  }
}

// The outputs of tile `index` in row oy of an image.
static void run_columns(const Run* run, const Channels* channels, const Segment* segment,
                        size_t index, const int8_t* image, size_t oy,
                        const OaqDepthwiseScratch* scratch, int8_t* output) {
  const OaqDepthwiseConv2d* op = run->op;
  const OaqTile* tile = &op->packed.tiles[index];
  const size_t per_tile = op->packed.layout->channels_per_tile;
  const size_t columns = segment->count;
  const bool int16 = tile->int16 && !run->any_codes;
  _Alignas(64) int32_t acc[OAQ_DEPTHWISE_COLUMNS * OAQ_MAX_TILE_CHANNELS];
  if (op->scattered || (tile->int16 && run->any_codes && op->kernels->depthwise->shifted)) {
    for (size_t n = 0; n < columns; ++n) {
      gather(op, channels, image, oy, segment->first + n, scratch->codes);
      multiply_gathered(op, tile, channels, scratch->codes, acc + n * per_tile);
    }
  } else {
#ifdef OAQ_COUNT_OVERFLOWS
    for (size_t n = 0; int16 && n < columns; ++n) {
      gather(op, channels, image, oy, segment->first + n, scratch->codes);
      oaq_count_depthwise(op->packed.layout, &tile->drains, scratch->codes, tile->weights);
    }
#endif
    find_rows(run, channels, segment, image, oy, scratch);
    if (int16 && channels->codes != NULL) {
      channels->codes(columns, &tile->drains, scratch->under,
                      (size_t)op->params.width.stride * channels->form->pixel, tile->weights,
                      op->packed.bias_int16 + channels->first, &op->stage, channels->first, output,
                      op->packed.channels);
      return;
    }
    multiply(op, tile, channels, int16, columns, scratch, acc);
  }
  op->kernels->output(&op->stage, channels->first, channels->count, columns, acc, per_tile, output,
                      op->packed.channels);
}

// Tile `index` of one segment of the output's rows [first, end), counted over all images.
static void run_rows(const Run* run, size_t index, size_t number, size_t first, size_t end,
                     const OaqDepthwiseScratch* scratch) {
  const OaqDepthwiseConv2d* op = run->op;
  const OaqDepthwise* depthwise = op->kernels->depthwise;
  const OaqTile* tile = &op->packed.tiles[index];
  const size_t per_tile = op->packed.layout->channels_per_tile;
  Channels channels = {.first = index * per_tile,
                       .count = oaq_min_size(per_tile, op->packed.channels - index * per_tile),
                       .form = tile->wide ? &depthwise->wide_form : &depthwise->form,
                       .wide = tile->wide};
  channels.codes = find_codes(op, tile, &channels);
  const Segment segment = find_segment(op, number);
  const size_t height = (size_t)op->output_height;
  const size_t image_size =
      (size_t)op->input_height * (size_t)op->input_width * op->params.input_channels;
  const size_t row_size = (size_t)op->output_width * op->packed.channels;
  const int8_t* image = run->input + first / height * image_size;
  int8_t* output = run->output + first * row_size + segment.first * op->packed.channels;
  size_t oy = first % height;
  forget_rows(op, scratch);
  if (!op->scattered) pad_rows(op, &channels, &segment, scratch);
  for (size_t row = first; row < end; ++row, output += row_size) {
    run_columns(run, &channels, &segment, index, image, oy, scratch, output + channels.first);
    if (++oy == height) {
      oy = 0;
      image += image_size;
      forget_rows(op, scratch);
    }
  }
}

// Of rows [0, ...) of segments, those of `segment` that come before segment number `number`.
static size_t rows_before(size_t number, size_t segment, size_t segments) {
  return number <= segment ? 0 : oaq_ceil_div(number - segment, segments);
}

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqDepthwiseConv2d* op = run->op;
  const OaqPart part = oaq_split_part(&op->split, index);
  const OaqDepthwiseScratch scratch = scratch_in(op, oaq_scratch_worker(&op->use, worker));
  for (size_t tile = part.first_tile; tile < part.end_tile; ++tile) {
    for (size_t segment = 0; segment < op->segments; ++segment) {
      run_rows(run, tile, segment, rows_before(part.first_row, segment, op->segments),
               rows_before(part.first_row + part.rows, segment, op->segments), &scratch);
    }
  }
}

void oaq_depthwise_conv_2d_run(OaqDepthwiseConv2d* op, const int8_t* input, bool any_codes,
                               int8_t* output) {
  const size_t input_size = (size_t)op->batch * (size_t)op->input_height * (size_t)op->input_width *
                            op->params.input_channels;
  Run run = {op, input, input + input_size, output, any_codes};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
