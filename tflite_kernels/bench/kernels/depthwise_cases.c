// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "bench/baseline/baseline.h"
#include "bench/kernels/bench_case.h"
#include "bench/kernels/limit.h"
#include "core/depthwise_order.h"
#include "core/pack.h"

// Depthwise kernels on one output row of one tile, called as core/depthwise_conv_2d.c does: rows of
// the input are copied first. The copy is left out of the kernels' own figures; a case "with copy"
// copies as many rows as an output row adds to those that the one above it has read.

enum { kColumns = 28, kMaxSize = 5, kMaxTaps = kMaxSize * kMaxSize + 1 };
enum { kPixels = (kColumns - 1) * 2 + kMaxSize + 1, kChannels = OAQ_MAX_TILE_CHANNELS };

// Activations in [0, 127], weights so small that no lane overflows.
typedef struct Problem {
  int8_t* image;    // [kMaxSize][kPixels][kChannels]
  int8_t* weights;  // [kMaxTaps][kChannels]
  int32_t bias[kChannels];
} Problem;

typedef struct Depthwise {
  const Problem* problem;
  size_t height, width, stride, channels;
  OaqDepthwiseI16 i16;  // or
  OaqDepthwiseI32 i32;  // or
  BaselineDepthwise baseline;
  size_t steps;
  OaqDrains drains;
  const void* b;
  const void* taps[kMaxTaps];  // or rows
  size_t column_stride;        // in bytes
  const OaqDepthwiseForm* form;
  size_t copied_rows;  // in each run
  char* rows[kMaxSize];
  int32_t* acc;
} Depthwise;

static const Problem* problem(void) {
  static Problem made;
  if (made.image != NULL) return &made;
  const size_t codes = (size_t)kMaxSize * kPixels * kChannels;
  made.image = bench_alloc(codes);
  made.weights = bench_alloc((size_t)kMaxTaps * kChannels);
  bench_random_codes(0, 127, made.image, codes);
  bench_random_codes(-2, 2, made.weights, (size_t)kMaxTaps * kChannels);
  for (int c = 0; c < kChannels; ++c) made.bias[c] = 1000 * c - 7;
  return &made;
}

static const int8_t* pixel(size_t row, size_t column) {
  return problem()->image + (row * kPixels + column) * kChannels;
}

static size_t row_pixels(const Depthwise* made) {
  return (kColumns - 1) * made->stride + made->width;
}

static void copy_row(const Depthwise* made, size_t row) {
  made->form->copy(row_pixels(made), pixel(row, 0), kChannels, 0, made->rows[row]);
}

static void run_depthwise(const void* data) {
  const Depthwise* made = data;
  const int32_t* bias = made->problem->bias;
  for (size_t row = 0; row < made->copied_rows; ++row) copy_row(made, row);
  if (made->baseline != NULL) {
    made->baseline(kColumns, made->channels, (const int8_t* const*)made->taps, made->column_stride,
                   made->b, bias, made->acc);
  } else if (made->i16 != NULL) {
    made->i16(kColumns, &made->drains, made->taps, made->column_stride, made->b, bias, made->acc);
  } else {
    made->i32(kColumns, made->steps, made->taps, made->column_stride, made->b, bias, made->acc);
  }
}

static bool is_right(const void* data) {
  const Depthwise* made = data;
  for (size_t n = 0; n < kColumns; ++n) {
    for (size_t c = 0; c < made->channels; ++c) {
      int32_t sum = made->problem->bias[c];
      for (size_t y = 0; y < made->height; ++y) {
        for (size_t x = 0; x < made->width; ++x) {
          sum += pixel(y, n * made->stride + x)[c] *
                 made->problem->weights[(y * made->width + x) * kChannels + c];
        }
      }
      if (made->acc[n * made->channels + c] != sum) return false;
    }
  }
  return true;
}

static Depthwise* make(size_t height, size_t width, size_t stride, size_t channels) {
  Depthwise* made = bench_alloc(sizeof(*made));
  made->problem = problem();
  made->height = height;
  made->width = width;
  made->stride = stride;
  made->channels = channels;
  made->acc = bench_alloc(kColumns * channels * sizeof(*made->acc));
  return made;
}

static void copy_rows(Depthwise* made, const OaqDepthwise* depthwise, bool wide) {
  made->form = wide ? &depthwise->wide_form : &depthwise->form;
  made->column_stride = made->stride * made->form->pixel;
  for (size_t row = 0; row < made->height; ++row) {
    // A pixel more than there is: kernels may read it.
    made->rows[row] = bench_alloc((row_pixels(made) + 1) * made->form->pixel);
    copy_row(made, row);
  }
}

// `general`: for the kernels of any filter, which take taps and not rows.
static void pack(Depthwise* made, const OaqDepthwise* depthwise, bool general, bool wide) {
  const OaqLayout* layout = depthwise->layout;
  const size_t taps = made->height * made->width;
  OaqTap order[kMaxTaps];
  int8_t ordered[kMaxTaps * kChannels];
  oaq_depthwise_order(layout, made->height, made->width, order);
  for (size_t t = 0; t < taps; ++t) {
    memcpy(ordered + t * kChannels,
           made->problem->weights + (order[t].row * made->width + order[t].column) * kChannels,
           kChannels);
    made->taps[t] = made->rows[order[t].row] + order[t].column * made->form->pixel;
  }
  made->steps = oaq_layout_steps(layout, taps);
  for (size_t t = taps; t < made->steps * layout->per_lane; ++t) {
    made->taps[t] = made->taps[taps - 1];
  }
  for (size_t row = 0; !general && row < made->height; ++row) made->taps[row] = made->rows[row];
  const OaqWeights weights = {ordered, kChannels, taps, 1, kChannels};
  const size_t codes = made->steps * layout->per_lane * layout->channels_per_tile;
  int8_t* packed = bench_alloc(codes);
  oaq_pack_tile(&weights, layout, 0, packed);
  made->b = packed;
  if (!wide) return;
  int16_t* widened = bench_alloc(codes * sizeof(*widened));
  for (size_t i = 0; i < codes; ++i) widened[i] = packed[i];
  made->b = widened;
}

static void drain(Depthwise* made, const OaqLayout* layout, size_t depth) {
  const size_t block = depth / layout->per_lane;
  const size_t blocks = block == 0 ? 1 : (made->steps + block - 1) / block;
  OaqDrains* drains = &made->drains;
  drains->num_blocks = blocks;
  drains->blocks = bench_alloc(blocks * sizeof(*drains->blocks));
  for (size_t i = 0; i < blocks; ++i) drains->blocks[i] = (uint32_t)block;
  drains->blocks[blocks - 1] = (uint32_t)(made->steps - block * (blocks - 1));
  drains->start = bench_alloc(blocks * oaq_layout_tile_lanes(layout) * sizeof(*drains->start));
}

// Pairs of rows that an output column of a vector of channels interleaves itself; what its
// neighbours have interleaved before serves again.
static double interleaves(const Depthwise* made, bool general) {
  if (general) return (double)made->steps;
  if (made->height == 3) return made->stride == 1 ? 2 : 3;
  return made->stride == 1 ? 3 : 5;
}

static double limit_of(const Depthwise* made, const OaqDepthwise* depthwise, bool general) {
  const int bits = (int)depthwise->form.pixel * 8;
  const bool int16 = made->i16 != NULL;
  const double drains = int16 ? (double)made->drains.num_blocks : 1;
  // To interleave is to shuffle, but for AVX512BW's int16 kernels, which load under a mask. A drain
  // widens: two conversions and what gives the upper half.
  const double pairs = interleaves(made, general);
  const bool masked = bits == 512 && int16;
  const double widening = int16 ? 3 * drains : 0;
  const VectorWork work = {
      .multiplies = (double)made->steps,
      .shuffles = (masked ? 0 : pairs) + (bits == 128 ? widening : 0),
      .crossing = bits == 128 ? 0 : widening,
      .others = (double)made->steps + (masked ? pairs : 0) + (int16 ? 2 * drains : 0)};
  const double channels = bits / (int16 ? 16.0 : 32.0);
  return (double)(made->height * made->width) * channels / limit_cycles(bits, &work);
}

// A name's end, and what the case is compared with.
static BenchCase* add(BenchCases* cases, const char* isa, Depthwise* made, const char* kind,
                      const char* suffix) {
  BenchCase* item = bench_cases_add(cases);
  snprintf(item->name, sizeof(item->name), "%s %s %zux%zu s%zu%s", isa, kind, made->height,
           made->width, made->stride, suffix);
  item->work = (double)(kColumns * made->channels * made->height * made->width);
  item->run = run_depthwise;
  item->is_right = is_right;
  item->data = made;
  if (made->baseline == NULL && made->height == 3) {
    snprintf(item->baseline, sizeof(item->baseline), "%s baseline depthwise 3x3 s%zu",
             strcmp(isa, "sse41") == 0 ? "sse41" : "avx2", made->stride);
  }
  return item;
}

// `general`: one of the kernels for any filter; `depth` 0: never drained.
static void add_kernel(BenchCases* cases, const char* isa, const OaqDepthwise* depthwise,
                       const OaqDepthwiseFilter* filter, bool general, bool int16, size_t depth,
                       size_t copied_rows, const char* suffix) {
  const size_t channels = depthwise->layout->channels_per_tile;
  Depthwise* made =
      make((size_t)filter->height, (size_t)filter->width, (size_t)filter->stride, channels);
  if (int16) {
    made->i16 = general ? depthwise->i16 : filter->i16;
  } else {
    made->i32 = general ? depthwise->i32 : filter->i32;
  }
  const bool wide = !int16 && depthwise->exact_wide;
  copy_rows(made, depthwise, wide);
  pack(made, depthwise, general, wide);
  if (int16) drain(made, depthwise->layout, depth > 0 ? depth : 2 * made->steps);
  made->copied_rows = copied_rows;
  BenchCase* item = add(cases, isa, made, int16 ? "depthwise int16" : "depthwise exact", suffix);
  if (copied_rows > 0) return;
  item->limit = limit_of(made, depthwise, general);
  item->exact = !int16;
  item->steps = (double)(made->steps * kColumns);
  item->drains = int16 ? (double)(made->drains.num_blocks * kColumns) : 0;
  // Where a filter's tile is drained, kernels for any filter run it. Two blocks are what may still
  // pay, so they and none are what a filter's line goes through.
  if (!general || made->drains.num_blocks == 2) {
    snprintf(item->table, sizeof(item->table), "%s depthwise %zux%zu s%zu", isa, made->height,
             made->width, made->stride);
  } else {
    snprintf(item->table, sizeof(item->table), "%s depthwise any", isa);
  }
}

static bool measured(const OaqDepthwise* depthwise) {
  static const OaqDepthwise* known[8];
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
    if (known[i] == depthwise) return true;
    if (known[i] == NULL) {
      known[i] = depthwise;
      return false;
    }
  }
  return false;
}

void bench_add_depthwise(BenchCases* cases, const OaqKernels* kernels) {
  const OaqDepthwise* depthwise = kernels->depthwise;
  const char* isa = kernels->isa;
  if (depthwise->layout->per_lane != 2 || measured(depthwise)) return;
  for (size_t i = 0; i < depthwise->num_filters; ++i) {
    const OaqDepthwiseFilter* filter = &depthwise->filters[i];
    const size_t taps = (size_t)(filter->height * filter->width);
    char never[24];
    snprintf(never, sizeof(never), " T=%zu", taps);
    add_kernel(cases, isa, depthwise, filter, false, true, 0, 0, never);
    char with_copy[40];
    snprintf(with_copy, sizeof(with_copy), "%s with copy", never);
    add_kernel(cases, isa, depthwise, filter, false, true, 0, (size_t)filter->stride, with_copy);
    add_kernel(cases, isa, depthwise, filter, true, true, taps / 3 * 2, 0, " two drains");
    add_kernel(cases, isa, depthwise, filter, true, true, 4, 0, " T=4");
    add_kernel(cases, isa, depthwise, filter, true, true, 2, 0, " T=2");
    add_kernel(cases, isa, depthwise, filter, false, false, 0, 0, "");
    if (filter->stride != 1) continue;
    snprintf(never, sizeof(never), " T=%zu general", taps);
    add_kernel(cases, isa, depthwise, filter, true, true, 0, 0, never);
    add_kernel(cases, isa, depthwise, filter, true, false, 0, 0, " general");
  }
}

static void add_baseline(BenchCases* cases, const char* isa, BaselineDepthwise baseline,
                         size_t stride) {
  const bool avx2 = strcmp(isa, "avx2") == 0;
  Depthwise* made = make(3, 3, stride, avx2 ? 32 : 16);
  made->baseline = baseline;
  made->column_stride = stride * kChannels;
  int8_t* packed = bench_alloc((size_t)kBaselineTaps * made->channels);
  for (size_t c = 0; c < made->channels; ++c) {
    for (size_t t = 0; t < kBaselineTaps; ++t) {
      packed[(c / kBaselineGroup * kBaselineTaps + t) * kBaselineGroup + c % kBaselineGroup] =
          made->problem->weights[t * kChannels + c];
    }
  }
  made->b = packed;
  for (size_t t = 0; t < kBaselineTaps; ++t) made->taps[t] = pixel(t / 3, t % 3);
  BenchCase* item = add(cases, isa, made, "baseline depthwise", "");
  // Eight channels of a tap: AVX2 widens codes and weights, and VPMULLD is two multiplications;
  // SSE4.1 widens to 16 bits, multiplies, and widens the products.
  const VectorWork kAvx2 = {.multiplies = 2, .crossing = 2, .others = 1};
  const VectorWork kSse41 = {.multiplies = 1, .shuffles = 4, .others = 3};
  item->limit = 8 / limit_cycles(avx2 ? 256 : 128, avx2 ? &kAvx2 : &kSse41);
}

void bench_add_depthwise_baseline(BenchCases* cases, const char* isa) {
  const bool avx2 = strcmp(isa, "avx2") == 0;
  if (!avx2 && strcmp(isa, "sse41") != 0) return;
  for (size_t stride = 1; stride <= 2; ++stride) {
    add_baseline(cases, isa, avx2 ? baseline_depthwise_9_avx2 : baseline_depthwise_9_sse41, stride);
  }
}
