// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/depthwise_conv_2d.h"
#include "test.h"

// Depthwise kernels that end in the output stage, of every ISA: against sums and the portable
// output stage, to the bit; and the op that calls them, against the portable kernels.

enum { kMostPixels = 2 * OAQ_DEPTHWISE_COLUMNS + 8, kMostRows = 5, kMostTaps = 26 };
enum { kMostStride = 2 * OAQ_MAX_TILE_CHANNELS, kCanary = 0x55 };
enum { kOutputs = OAQ_DEPTHWISE_COLUMNS * OAQ_MAX_TILE_CHANNELS };

// Not small: one for all cases.
static struct {
  _Alignas(64) int8_t rows[kMostRows][kMostPixels * OAQ_MAX_TILE_CHANNELS];
  _Alignas(64) int8_t weights[kMostTaps * OAQ_MAX_TILE_CHANNELS];
  int16_t start[OAQ_MAX_TILE_CHANNELS];
  int32_t bias[OAQ_MAX_TILE_CHANNELS];
  _Alignas(64) int32_t acc[kOutputs], scalar_acc[kOutputs];
  int8_t out[(OAQ_DEPTHWISE_COLUMNS + 2) * kMostStride], expected[kOutputs];
} all;

// A plain stage of `channels`; `requantize` without multipliers.
static void make_stage(Random* random, size_t channels, bool is_signed, OaqRequantize requantize,
                       OaqOutputStage* stage) {
  OaqMultiplier multipliers[2 * OAQ_MAX_TILE_CHANNELS];
  // Small shifts, where codes differ, and all of them.
  const int32_t most = random_int(random, 0, 2) ? 10 : 31;
  for (size_t c = 0; c < channels; ++c) {
    multipliers[c] =
        (OaqMultiplier){random_int(random, 1 << 30, INT32_MAX), -random_int(random, 1, most)};
    if (random_int(random, 0, 3) == 0) multipliers[c].multiplier = 1 << 30;
    if (random_int(random, 0, 15) == 0) multipliers[c] = (OaqMultiplier){0, 0};
  }
  static const int32_t kZeroPoints[] = {-128, 0, 127};
  const int32_t zero_point = random_int(random, 0, 1) ? kZeroPoints[random_int(random, 0, 2)]
                                                      : random_int(random, -127, 127);
  requantize.channels = multipliers;
  requantize.zero_point = is_signed && zero_point == -128 ? -127 : zero_point;
  requantize.lo =
      is_signed ? random_int(random, -128, requantize.zero_point - 1) : requantize.zero_point;
  if (is_signed && random_int(random, 0, 1)) requantize.lo = -128;
  requantize.hi = random_int(random, 0, 1) ? 127 : random_int(random, requantize.lo, 127);
  CHECK(oaq_output_stage_init(&requantize, channels, stage, NULL));
  CHECK(oaq_output_stage_is_plain(stage, 0, channels) &&
        oaq_output_stage_is_signed(stage) == is_signed);
}

// What the kernel of the same filter for sums gives, and where the portable one reads the same
// layout, that as well.
static void find_sums(const OaqDepthwise* depthwise, const OaqDepthwiseFilter* filter,
                      size_t columns, const OaqDrains* drains, const void* const* rows) {
  const size_t stride = (size_t)filter->stride * depthwise->form.pixel;
  filter->i16(columns, drains, rows, stride, all.weights, all.bias, all.acc);
  const OaqDepthwise* scalar = oaq_kernels_scalar.depthwise;
  if (depthwise->layout != scalar->layout) return;
  const void* taps[kMostTaps];
  size_t count = 0;
  for (int32_t y = 0; y < filter->height; ++y) {
    for (int32_t x = 0; x < filter->width; ++x) {
      taps[count++] = (const char*)rows[y] + (size_t)x * depthwise->form.pixel;
    }
  }
  scalar->i16(columns, drains, taps, stride, all.weights, all.bias, all.scalar_acc);
  const size_t per_tile = depthwise->layout->channels_per_tile;
  CHECK(memcmp(all.acc, all.scalar_acc, columns * per_tile * sizeof(all.acc[0])) == 0);
}

static void check_kernel(const OaqDepthwise* depthwise, const OaqDepthwiseFilter* filter,
                         Random* random, size_t columns, bool has_start, bool is_signed) {
  const size_t per_tile = depthwise->layout->channels_per_tile;
  random_codes(random, -128, 127, &all.rows[0][0], sizeof(all.rows));
  // What wraps in 16 bits wraps alike everywhere, but most sums should not.
  const int32_t magnitude = random_int(random, 0, 3) ? 20 : 127;
  random_codes(random, -magnitude, magnitude, all.weights, sizeof(all.weights));
  for (size_t c = 0; c < per_tile; ++c) {
    const int32_t most = random_int(random, 0, 3) ? 9999 : INT32_MAX / 2;
    all.bias[c] = random_int(random, -most, most);
    all.start[c] = (int16_t)random_int(random, INT16_MIN, INT16_MAX);
  }
  OaqOutputStage stage;
  // A tile, and one that is not the stage's first.
  const size_t channel = random_int(random, 0, 1) ? per_tile : 0;
  make_stage(random, channel + per_tile, is_signed, (OaqRequantize){0}, &stage);
  const size_t taps = (size_t)(filter->height * filter->width);
  uint32_t steps = (uint32_t)oaq_layout_steps(depthwise->layout, taps);
  const OaqDrains drains = {
      .blocks = &steps, .num_blocks = 1, .start = has_start ? all.start : NULL};
  const void* rows[kMostRows];
  for (size_t y = 0; y < kMostRows; ++y) rows[y] = all.rows[y];
  find_sums(depthwise, filter, columns, &drains, rows);
  oaq_output_scalar(&stage, channel, per_tile, columns, all.acc, per_tile, all.expected, per_tile);
  const size_t out_stride =
      per_tile + (random_int(random, 0, 1) ? (size_t)random_int(random, 1, (int32_t)per_tile) : 0);
  memset(all.out, kCanary, sizeof(all.out));
  // Anywhere: a tensor's rows of codes are aligned to nothing.
  const size_t at = (size_t)random_int(random, 1, (int32_t)per_tile);
  filter->i16_codes(columns, &drains, rows, (size_t)filter->stride * depthwise->form.pixel,
                    all.weights, all.bias, &stage, channel, all.out + at, out_stride);
  for (size_t i = 0; i < sizeof(all.out); ++i) {
    const size_t n = i < at ? columns : (i - at) / out_stride;
    const size_t c = i < at ? 0 : (i - at) % out_stride;
    CHECK(all.out[i] ==
          (n < columns && c < per_tile ? all.expected[n * per_tile + c] : (int8_t)kCanary));
  }
  oaq_output_stage_free(&stage);
}

// Kernels that end in codes, of a family.
static size_t check_kernels(const OaqDepthwise* depthwise, Random* random) {
  size_t met = 0;
  for (size_t i = 0; i < depthwise->num_filters; ++i) {
    const OaqDepthwiseFilter* filter = &depthwise->filters[i];
    if (filter->i16_codes == NULL) continue;
    ++met;
    for (size_t columns = 1; columns <= OAQ_DEPTHWISE_COLUMNS; ++columns) {
      for (int kind = 0; kind < 4; ++kind) {
        check_kernel(depthwise, filter, random, columns, kind % 2 == 1, kind >= 2);
      }
    }
  }
  return met;
}

// The op, of whole tiles and rests of tiles, whose outputs are in several segments or one.
static void check_op(const OaqKernels* kernels, Random* random, int32_t size, int32_t stride) {
  const size_t channels = (size_t)random_int(random, 1, OAQ_MAX_TILE_CHANNELS + 20);
  const int32_t height = random_int(random, 1, 7), width = random_int(random, 1, 140);
  OaqOutputStage stage;
  make_stage(random, channels, random_int(random, 0, 1) == 1, (OaqRequantize){0}, &stage);
  OaqMultiplier multipliers[2 * OAQ_MAX_TILE_CHANNELS];
  for (size_t c = 0; c < channels; ++c) {
    multipliers[c] = (OaqMultiplier){stage.multipliers[c], -1 - stage.shifts[c]};
    // A tile with a left shift among others without.
    if (c == 20 && random_int(random, 0, 1)) multipliers[c].shift = random_int(random, 0, 2);
  }
  OaqWindow window = {.filter = size, .stride = stride, .dilation = 1};
  window.padding = OAQ_PADDING_SAME;
  OaqDepthwiseConv2dParams params = {.height = window,
                                     .width = window,
                                     .input_channels = channels,
                                     .depth_multiplier = 1,
                                     .input_zero_point = random_int(random, 0, 9),
                                     .input_range = {0, 127},
                                     .requantize = stage.requantize};
  params.requantize.channels = multipliers;
  const size_t taps = (size_t)(size * size);
  const size_t inputs = (size_t)(height * width) * channels;
  int8_t* weights = test_alloc(taps * channels, 1);
  int8_t* input = test_alloc(inputs, 1);
  int8_t* outputs[2] = {test_alloc(inputs, 1), test_alloc(inputs, 1)};
  int32_t* bias = test_alloc(channels, sizeof(*bias));
  random_codes(random, -9, 9, weights, taps * channels);
  random_codes(random, 0, 127, input, inputs);
  for (size_t c = 0; c < channels; ++c) bias[c] = random_int(random, -9999, 9999);
  for (int i = 0; i < 2; ++i) {
    OaqScratch scratch = {0};
    const OaqPlanner planner = {.policy = OAQ_POLICY_INT16,
                                .kernels = i == 0 ? &oaq_kernels_scalar : kernels,
                                .scratch = &scratch};
    OaqDepthwiseConv2d op;
    CHECK(oaq_depthwise_conv_2d_create(&params, weights, bias, &planner, &op, NULL));
    CHECK(oaq_depthwise_conv_2d_reshape(&op, 1, height, width, NULL));
    memset(outputs[i], kCanary, inputs);
    oaq_depthwise_conv_2d_run(&op, input, false, outputs[i]);
    oaq_depthwise_conv_2d_free(&op);
    oaq_scratch_free(&scratch);
  }
  CHECK(memcmp(outputs[0], outputs[1], inputs) == 0);
  oaq_output_stage_free(&stage);
  free(weights);
  free(input);
  free(outputs[0]);
  free(outputs[1]);
  free(bias);
}

int main(void) {
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels == NULL) {
      printf("%s: not on this CPU\n", oaq_isas[i]);
      continue;
    }
    Random random = {7};
    size_t met = 0;
    for (int round = 0; round < 4; ++round) met += check_kernels(kernels->depthwise, &random);
    printf("%s: %zu kernels end in codes\n", kernels->isa, met / 4);
    for (int round = 0; round < 80; ++round) {
      check_op(kernels, &random, round % 2 == 0 ? 3 : 5, 1 + round / 2 % 2);
    }
  }
  return 0;
}
