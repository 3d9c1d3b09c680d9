// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/depthwise_conv_2d.h"
#include "test.h"

// DEPTHWISE_CONV_2D of every ISA: its sums, before they become codes, against sums in 64 bits, over
// filters that have kernels of their own and others, and inputs that reach the bound.

static const OaqRange kRanges[] = {{-128, 127}, {0, 127}, {-63, 63}, {-128, 0}, {127, 127}};

// Which of the kernels there are tiles for: [has a kernel for its filter][never drained, drained,
// exact].
static size_t met[2][3];

// Exact tiles, by whether their products are added in pairs.
static size_t met_pairs[2];

static void meet(const OaqDepthwiseConv2d* op) {
  for (size_t i = 0; i < op->packed.num_tiles; ++i) {
    const OaqTile* tile = &op->packed.tiles[i];
    if (!tile->int16) ++met_pairs[tile->paired];
    ++met[op->filter != NULL][!tile->int16 ? 2 : tile->drains.num_blocks > 1];
  }
}

// An output stage that keeps what it is given.
static const int8_t* output_base;
static int32_t* kept;

static void keep_sums(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                      size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                      size_t out_stride) {
  (void)stage;
  (void)first_channel;
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      kept[(size_t)(out - output_base) + m * out_stride + n] = acc[m * acc_stride + n];
    }
  }
}

typedef struct Case {
  OaqDepthwiseConv2dParams params;
  int32_t batch, height, width, output_height, output_width, top, left;
  size_t channels;
  int32_t magnitude;  // of weights, at most
  int8_t *weights, *input;
  int32_t* bias;
  size_t input_size, output_size;
} Case;

static size_t tap_index(const Case* test, int32_t fy, int32_t fx) {
  return (size_t)(fy * test->params.width.filter + fx);
}

static int64_t expected_sum(const Case* test, int32_t b, int32_t oy, int32_t ox, size_t c) {
  const OaqDepthwiseConv2dParams* params = &test->params;
  int64_t sum = test->bias[c];
  for (int32_t fy = 0; fy < params->height.filter; ++fy) {
    for (int32_t fx = 0; fx < params->width.filter; ++fx) {
      const int64_t y =
          (int64_t)oy * params->height.stride - test->top + (int64_t)fy * params->height.dilation;
      const int64_t x =
          (int64_t)ox * params->width.stride - test->left + (int64_t)fx * params->width.dilation;
      if (y < 0 || y >= test->height || x < 0 || x >= test->width) continue;
      const size_t pixel = (size_t)((b * test->height + y) * test->width + x);
      const int32_t code =
          test->input[pixel * params->input_channels + c / params->depth_multiplier];
      sum += (code - params->input_zero_point) *
             test->weights[tap_index(test, fy, fx) * test->channels + c];
    }
  }
  return sum;
}

// Each pixel is hi or lo by the sign of one weight of its channel, so that some output position
// meets its worst case, in turns over the image.
static void worst_input(const Case* test, int end) {
  const OaqDepthwiseConv2dParams* params = &test->params;
  const size_t pixels = test->input_size / params->input_channels;
  for (size_t p = 0; p < pixels; ++p) {
    const int32_t x = (int32_t)(p % (size_t)test->width);
    const int32_t y = (int32_t)(p / (size_t)test->width % (size_t)test->height);
    const int32_t fy = y / params->height.dilation % params->height.filter;
    const int32_t fx = x / params->width.dilation % params->width.filter;
    for (size_t c = 0; c < params->input_channels; ++c) {
      const int8_t q =
          test->weights[tap_index(test, fy, fx) * test->channels + c * params->depth_multiplier];
      test->input[p * params->input_channels + c] =
          (int8_t)((q > 0) == (end == 1) ? params->input_range.hi : params->input_range.lo);
    }
  }
}

static OaqWindow make_window(Random* random, int32_t filter, int32_t stride, int32_t dilation) {
  return (OaqWindow){.filter = filter,
                     .stride = stride,
                     .dilation = dilation,
                     .padding = random_int(random, 0, 1) ? OAQ_PADDING_SAME : OAQ_PADDING_VALID};
}

static void check_sums(const Case* test) {
  size_t i = 0;
  for (int32_t b = 0; b < test->batch; ++b) {
    for (int32_t oy = 0; oy < test->output_height; ++oy) {
      for (int32_t ox = 0; ox < test->output_width; ++ox) {
        for (size_t c = 0; c < test->channels; ++c) {
          CHECK(kept[i++] == expected_sum(test, b, oy, ox, c));
        }
      }
    }
  }
  CHECK(i == test->output_size);
}

static void check_case(const OaqKernels* kernels, OaqThreads* threads, Random* random, Case* test) {
  const OaqDepthwiseConv2dParams* params = &test->params;
  CHECK(oaq_window_output(&params->height, test->height, &test->output_height, &test->top, NULL));
  CHECK(oaq_window_output(&params->width, test->width, &test->output_width, &test->left, NULL));
  test->channels = params->input_channels * params->depth_multiplier;
  const size_t taps = (size_t)(params->height.filter * params->width.filter);
  test->input_size = (size_t)(test->batch * test->height * test->width) * params->input_channels;
  test->output_size =
      (size_t)(test->batch * test->output_height * test->output_width) * test->channels;
  test->params.requantize.reals = test_alloc(test->channels, sizeof(double));
  test->weights = test_alloc(taps * test->channels, 1);
  test->input = test_alloc(test->input_size, 1);
  test->bias = test_alloc(test->channels, sizeof(*test->bias));
  int8_t* output = test_alloc(test->output_size, 1);
  kept = test_alloc(test->output_size, sizeof(*kept));
  output_base = output;
  random_codes(random, -test->magnitude, test->magnitude, test->weights, taps * test->channels);
  // The code that is not the negative of another one: two of its products leave 16 bits.
  if (random_int(random, 0, 3) == 0) {
    random_codes(random, -128, -126, test->weights, taps * test->channels);
  }
  for (size_t c = 0; c < test->channels; ++c) test->bias[c] = random_int(random, -9999, 9999);
  static const OaqPolicy kPolicies[] = {OAQ_POLICY_AUTO, OAQ_POLICY_INT16, OAQ_POLICY_EXACT};
  OaqScratch scratch = {0};
  OaqKernels keeping = *kernels;
  keeping.output = keep_sums;
  for (int policy = 0; policy < 3; ++policy) {
    const OaqPlanner planner = {.policy = kPolicies[policy],
                                .kernels = &keeping,
                                .threads = threads,
                                .scratch = &scratch,
                                .any_codes = random_int(random, 0, 1) == 1};
    OaqDepthwiseConv2d op;
    CHECK(oaq_depthwise_conv_2d_create(params, test->weights, test->bias, &planner, &op, NULL));
    const size_t tiles = op.summary.tiles_int16 + op.summary.tiles_saturating;
    if (policy == 1) CHECK(tiles == op.summary.tiles);
    if (policy == 2) CHECK(op.summary.tiles_int16 == 0);
    meet(&op);
    // At first another shape: nothing of it is to stay.
    CHECK(oaq_depthwise_conv_2d_reshape(&op, 1, test->height + 1, test->width + 2, NULL));
    CHECK(oaq_depthwise_conv_2d_reshape(&op, test->batch, test->height, test->width, NULL));
    for (int mode = 0; mode < (planner.any_codes ? 4 : 3); ++mode) {
      if (mode < 2) {
        worst_input(test, mode);
      } else {
        const OaqRange range = mode == 2 ? params->input_range : (OaqRange){-128, 127};
        random_codes(random, range.lo, range.hi, test->input, test->input_size);
      }
      memset(kept, 0x55, test->output_size * sizeof(*kept));
      oaq_depthwise_conv_2d_run(&op, test->input, mode == 3, output);
      check_sums(test);
    }
    oaq_depthwise_conv_2d_free(&op);
  }
  oaq_scratch_free(&scratch);
  free(test->params.requantize.reals);
  free(test->weights);
  free(test->input);
  free(test->bias);
  free(output);
  free(kept);
}

static void check_random(const OaqKernels* kernels, OaqThreads* threads, Random* random,
                         int round) {
  static const int32_t kMagnitudes[] = {127, 60, 20, 5};
  const OaqRange range = kRanges[random_int(random, 0, 4)];
  // Half of them 3 by 3 and 5 by 5 with stride 1 and 2, the rest anything.
  const int32_t square = round % 4 == 0 ? 3 : 5;
  const bool any = round % 2 == 1;
  const int32_t stride = random_int(random, 1, any ? 3 : 2);
  const int32_t dilation = any ? random_int(random, 1, 3) : 1;
  Case test = {.params = {.height = make_window(random, any ? random_int(random, 1, 5) : square,
                                                stride, dilation),
                          .width = make_window(random, any ? random_int(random, 1, 6) : square,
                                               stride, any ? random_int(random, 1, 3) : 1),
                          .input_channels =
                              (size_t)random_int(random, 1, random_int(random, 0, 3) ? 40 : 90),
                          .depth_multiplier = round % 5 == 0 ? (size_t)random_int(random, 2, 3) : 1,
                          .input_zero_point = random_int(random, range.lo, range.hi),
                          .input_range = range},
               .batch = random_int(random, 1, 2),
               .height = random_int(random, 1, 12),
               .width = random_int(random, 1, round % 16 == 2 ? 150 : 14),
               .magnitude = random_int(random, 1, kMagnitudes[random_int(random, 0, 3)])};
  check_case(kernels, threads, random, &test);
}

// Rows too long to copy.
static void check_dilation(const OaqKernels* kernels, Random* random) {
  Case test = {.params = {.height = {3, 1, 3000000, OAQ_PADDING_SAME},
                          .width = {3, 1, 3000000, OAQ_PADDING_SAME},
                          .input_channels = 20,
                          .depth_multiplier = 1,
                          .input_range = {0, 127}},
               .batch = 1,
               .height = 4,
               .width = 3,
               .magnitude = 127};
  check_case(kernels, NULL, random, &test);
}

int main(void) {
  OaqThreads* pools[] = {NULL, oaq_threads_create(3, 1)};
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels == NULL) {
      printf("%s: not on this CPU\n", oaq_isas[i]);
      continue;
    }
    Random random = {5};
    for (int round = 0; round < 600; ++round) {
      check_random(kernels, pools[round % 3 == 0], &random, round);
    }
    for (int round = 0; round < 2; ++round) check_dilation(kernels, &random);
    for (size_t fixed = 0; fixed <= (kernels->depthwise->num_filters > 0); ++fixed) {
      for (size_t kind = 0; kind < 3; ++kind) CHECK(met[fixed][kind] > 50);
    }
    const bool pairs = kernels->depthwise->i32_pairs != NULL;
    CHECK(met_pairs[false] > 50 && (met_pairs[true] > 50) == pairs);
    memset(met, 0, sizeof(met));
    memset(met_pairs, 0, sizeof(met_pairs));
  }
  oaq_threads_destroy(pools[1]);
  return 0;
}
