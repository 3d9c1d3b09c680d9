// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/reference.h"
#include "test.h"

// The ops, planned each way, against the reference over many shapes.

static const OaqPolicy kPolicies[] = {OAQ_POLICY_AUTO, OAQ_POLICY_INT16, OAQ_POLICY_EXACT};
static const OaqRange kRanges[] = {{-128, 127}, {0, 127}, {-63, 63}, {-128, 10}};

static const OaqKernels* kernels;

// Convolutions, by whether they run on the family `broadcast`.
static size_t met_broadcast[2];

// None, and pools for which the smallest op is worth sharing out.
static OaqThreads* pools[3];

// Of all ops, which find in it what others left there.
static OaqScratch scratch;

// What lanes hold at drains, of a build that counts; at the ends of their ranges with some inputs.
OAQ_COUNTING(static OaqOverflows overflows;)

static OaqPlanner make_planner(Random* random, OaqPolicy policy) {
  return (OaqPlanner){
      .policy = policy,
      .kernels = kernels,
      OAQ_COUNTING(.overflows = &overflows, ).any_codes = random_int(random, 0, 1) == 1,
      .threads = pools[random_int(random, 0, 2)],
      .scratch = &scratch};
}

static OaqRequantize make_requantize(Random* random, size_t channels) {
  OaqRequantize requantize = {.channels = test_alloc(channels, sizeof(OaqMultiplier)),
                              .zero_point = random_int(random, -128, 127),
                              .lo = random_int(random, -128, 0),
                              .hi = random_int(random, 1, 127)};
  // Channels without a right shift take tiles with them to another output stage.
  const bool mixed = random_int(random, 0, 3) == 0;
  for (size_t c = 0; c < channels; ++c) {
    requantize.channels[c] =
        (OaqMultiplier){random_int(random, 1 << 30, INT32_MAX), random_int(random, -11, -5)};
    if (mixed && random_int(random, 0, 15) == 0) {
      requantize.channels[c].shift = random_int(random, 0, 2);
    }
  }
  return requantize;
}

static int32_t* make_bias(Random* random, size_t channels) {
  int32_t* bias = test_alloc(channels, sizeof(*bias));
  for (size_t c = 0; c < channels; ++c) {
    // Now and then at the ends, where sums wrap.
    bias[c] = random_int(random, 0, 9) == 0 ? (random_int(random, 0, 1) ? INT32_MAX : INT32_MIN)
                                            : random_int(random, -20000, 20000);
  }
  return bias;
}

static OaqWindow make_window(Random* random) {
  return (OaqWindow){.filter = random_int(random, 1, 4),
                     .stride = random_int(random, 1, 3),
                     .dilation = random_int(random, 1, 2),
                     .padding = random_int(random, 0, 1) ? OAQ_PADDING_SAME : OAQ_PADDING_VALID};
}

static size_t output_positions(const OaqWindow* rows, const OaqWindow* columns, int32_t height,
                               int32_t width) {
  int32_t out_height = 0, out_width = 0, before = 0;
  CHECK(oaq_window_output(rows, height, &out_height, &before, NULL));
  CHECK(oaq_window_output(columns, width, &out_width, &before, NULL));
  return (size_t)out_height * (size_t)out_width;
}

// The largest drain-free share that a weight magnitude leaves varies with it.
static int32_t weight_magnitude(Random* random) {
  static const int32_t kMagnitudes[] = {127, 40, 8, 1};
  return kMagnitudes[random_int(random, 0, 3)];
}

// More than a tile now and then.
static size_t output_channels(Random* random) {
  return (size_t)random_int(random, 1, random_int(random, 0, 2) ? 9 : 70);
}

// Of one magnitude, or of one each: then some tiles run int16 and some exact.
static void random_filters(Random* random, size_t channels, size_t products, int8_t* weights) {
  const bool all = random_int(random, 0, 1) == 1;
  int32_t magnitude = weight_magnitude(random);
  for (size_t c = 0; c < channels; ++c) {
    if (!all && c % 16 == 0) magnitude = weight_magnitude(random);
    random_codes(random, -magnitude, magnitude, weights + c * products, products);
  }
}

// Often whole steps of all layouts.
static size_t input_channels(Random* random) {
  return (size_t)(random_int(random, 0, 1) ? 8 * random_int(random, 1, 2)
                                           : random_int(random, 1, 20));
}

static void check_conv_2d(Random* random) {
  const size_t groups = random_int(random, 0, 3) == 0 ? (size_t)random_int(random, 2, 3) : 1;
  const OaqRange range = kRanges[random_int(random, 0, 3)];
  OaqConv2dParams params = {.height = make_window(random),
                            .width = make_window(random),
                            .input_channels = groups * input_channels(random),
                            .output_channels = groups * output_channels(random),
                            .groups = groups,
                            .input_zero_point = random_int(random, range.lo, range.hi),
                            .input_range = range};
  const int32_t batch = random_int(random, 0, 2);
  const int32_t height = random_int(random, 1, 9), width = random_int(random, 1, 9);
  params.requantize = make_requantize(random, params.output_channels);
  const size_t products =
      params.input_channels / groups * (size_t)(params.height.filter * params.width.filter);
  const size_t input_size = (size_t)(batch * height * width) * params.input_channels;
  const size_t output_size = (size_t)batch * params.output_channels *
                             output_positions(&params.height, &params.width, height, width);
  int8_t* weights = test_alloc(params.output_channels * products, 1);
  int8_t* input = test_alloc(input_size, 1);
  int8_t* expected = test_alloc(output_size, 1);
  int8_t* output = test_alloc(output_size, 1);
  int32_t* bias = random_int(random, 0, 4) ? make_bias(random, params.output_channels) : NULL;
  random_filters(random, params.output_channels, products, weights);
  random_codes(random, range.lo, range.hi, input, input_size);
  oaq_reference_conv_2d(&params, batch, height, width, input, weights, bias, expected);
  for (int policy = 0; policy < 3; ++policy) {
    const OaqPlanner planner = make_planner(random, kPolicies[policy]);
    OaqConv2d op;
    CHECK(oaq_conv_2d_create(&params, weights, bias, &planner, &op, NULL));
    const OaqGemm* gemm = op.gemm;
    const size_t per_tile = gemm->layout->channels_per_tile;
    ++met_broadcast[gemm == kernels->broadcast];
    const size_t group_tiles = (params.output_channels / groups + per_tile - 1) / per_tile;
    CHECK(op.summary.tiles == groups * group_tiles);
    if (kPolicies[policy] == OAQ_POLICY_INT16 && gemm->i16 != NULL) {
      CHECK(op.summary.tiles_int16 + op.summary.tiles_saturating == op.summary.tiles);
    }
    if (kPolicies[policy] == OAQ_POLICY_EXACT) CHECK(op.summary.tiles_int16 == 0);
    CHECK(oaq_conv_2d_reshape(&op, batch, height, width, NULL));
    for (int any_codes = 0; any_codes <= planner.any_codes; ++any_codes) {
      memset(output, 0x55, output_size);
      oaq_conv_2d_run(&op, input, any_codes == 1, output);
      CHECK(memcmp(output, expected, output_size) == 0);
    }
    oaq_conv_2d_free(&op);
  }
  free(params.requantize.channels);
  free(weights);
  free(input);
  free(expected);
  free(output);
  free(bias);
}

static void check_depthwise_conv_2d(Random* random) {
  const OaqRange range = kRanges[random_int(random, 0, 3)];
  OaqDepthwiseConv2dParams params = {.height = make_window(random),
                                     .width = make_window(random),
                                     .input_channels = (size_t)random_int(random, 1, 40),
                                     .depth_multiplier = (size_t)random_int(random, 1, 3),
                                     .input_zero_point = random_int(random, range.lo, range.hi),
                                     .input_range = range};
  const size_t channels = params.input_channels * params.depth_multiplier;
  const int32_t batch = random_int(random, 0, 2);
  const int32_t height = random_int(random, 1, 9), width = random_int(random, 1, 9);
  params.requantize = make_requantize(random, channels);
  const size_t taps = (size_t)(params.height.filter * params.width.filter);
  const size_t input_size = (size_t)(batch * height * width) * params.input_channels;
  const size_t output_size =
      (size_t)batch * channels * output_positions(&params.height, &params.width, height, width);
  int8_t* weights = test_alloc(channels * taps, 1);
  int8_t* input = test_alloc(input_size, 1);
  int8_t* expected = test_alloc(output_size, 1);
  int8_t* output = test_alloc(output_size, 1);
  int32_t* bias = random_int(random, 0, 4) ? make_bias(random, channels) : NULL;
  const int32_t magnitude = weight_magnitude(random);
  random_codes(random, -magnitude, magnitude, weights, channels * taps);
  random_codes(random, range.lo, range.hi, input, input_size);
  oaq_reference_depthwise_conv_2d(&params, batch, height, width, input, weights, bias, expected);
  for (int policy = 0; policy < 3; ++policy) {
    const OaqPlanner planner = make_planner(random, kPolicies[policy]);
    OaqDepthwiseConv2d op;
    CHECK(oaq_depthwise_conv_2d_create(&params, weights, bias, &planner, &op, NULL));
    CHECK(oaq_depthwise_conv_2d_reshape(&op, batch, height, width, NULL));
    for (int any_codes = 0; any_codes <= planner.any_codes; ++any_codes) {
      memset(output, 0x55, output_size);
      oaq_depthwise_conv_2d_run(&op, input, any_codes == 1, output);
      CHECK(memcmp(output, expected, output_size) == 0);
    }
    oaq_depthwise_conv_2d_free(&op);
  }
  free(params.requantize.channels);
  free(weights);
  free(input);
  free(expected);
  free(output);
  free(bias);
}

static void check_transpose_conv(Random* random) {
  const OaqRange range = kRanges[random_int(random, 0, 3)];
  OaqTransposeConvParams params = {.height = make_window(random),
                                   .width = make_window(random),
                                   .output_height = random_int(random, 4, 11),
                                   .output_width = random_int(random, 4, 11),
                                   .input_channels = (size_t)random_int(random, 1, 20),
                                   .output_channels = (size_t)random_int(random, 1, 9),
                                   .input_zero_point = random_int(random, range.lo, range.hi),
                                   .input_range = range};
  params.height.dilation = params.width.dilation = 1;
  const int32_t batch = random_int(random, 0, 2);
  // Any size, too small and too large ones among them.
  const int32_t height = random_int(random, 1, 9), width = random_int(random, 1, 9);
  params.requantize = make_requantize(random, params.output_channels);
  const size_t weights_size = params.output_channels * params.input_channels *
                              (size_t)(params.height.filter * params.width.filter);
  const size_t input_size = (size_t)(batch * height * width) * params.input_channels;
  const size_t output_size =
      (size_t)(batch * params.output_height * params.output_width) * params.output_channels;
  int8_t* weights = test_alloc(weights_size, 1);
  int8_t* input = test_alloc(input_size, 1);
  int8_t* expected = test_alloc(output_size, 1);
  int8_t* output = test_alloc(output_size, 1);
  int32_t* bias = random_int(random, 0, 4) ? make_bias(random, params.output_channels) : NULL;
  const int32_t magnitude = weight_magnitude(random);
  random_codes(random, -magnitude, magnitude, weights, weights_size);
  random_codes(random, range.lo, range.hi, input, input_size);
  oaq_reference_transpose_conv(&params, batch, height, width, input, weights, bias, expected);
  for (int policy = 0; policy < 3; ++policy) {
    const OaqPlanner planner = make_planner(random, kPolicies[policy]);
    OaqTransposeConv op;
    CHECK(oaq_transpose_conv_create(&params, weights, bias, &planner, &op, NULL));
    CHECK(oaq_transpose_conv_reshape(&op, batch, height, width, NULL));
    for (int any_codes = 0; any_codes <= planner.any_codes; ++any_codes) {
      memset(output, 0x55, output_size);
      oaq_transpose_conv_run(&op, input, any_codes == 1, output);
      CHECK(memcmp(output, expected, output_size) == 0);
    }
    oaq_transpose_conv_free(&op);
  }
  free(params.requantize.channels);
  free(weights);
  free(input);
  free(expected);
  free(output);
  free(bias);
}

static void check_fully_connected(Random* random) {
  const OaqRange range = kRanges[random_int(random, 0, 3)];
  OaqFullyConnectedParams params = {.products = (size_t)random_int(random, 1, 400),
                                    .channels = (size_t)random_int(random, 1, 20),
                                    .input_zero_point = random_int(random, -128, 127),
                                    .input_range = range};
  const size_t batch = (size_t)random_int(random, 0, 40);
  params.requantize = make_requantize(random, params.channels);
  int8_t* weights = test_alloc(params.channels * params.products, 1);
  int8_t* input = test_alloc(batch * params.products, 1);
  int8_t* expected = test_alloc(batch * params.channels, 1);
  int8_t* output = test_alloc(batch * params.channels, 1);
  int32_t* bias = random_int(random, 0, 4) ? make_bias(random, params.channels) : NULL;
  const int32_t magnitude = weight_magnitude(random);
  random_codes(random, -magnitude, magnitude, weights, params.channels * params.products);
  random_codes(random, range.lo, range.hi, input, batch * params.products);
  oaq_reference_fully_connected(&params, batch, input, weights, bias, expected);
  for (int policy = 0; policy < 3; ++policy) {
    const OaqPlanner planner = make_planner(random, kPolicies[policy]);
    OaqFullyConnected op;
    CHECK(oaq_fully_connected_create(&params, weights, bias, &planner, &op, NULL));
    CHECK(oaq_fully_connected_reshape(&op, batch, NULL));
    memset(output, 0x55, batch * params.channels);
    oaq_fully_connected_run(&op, input, false, output);
    CHECK(memcmp(output, expected, batch * params.channels) == 0);
    oaq_fully_connected_free(&op);
  }
  free(params.requantize.channels);
  free(weights);
  free(input);
  free(expected);
  free(output);
  free(bias);
}

// The worst input for one channel, all codes at an end of the range: a proof that is off by a
// factor shows here at once.
static void check_worst_input(Random* random, OaqRange range) {
  OaqFullyConnectedParams params = {.products = 512, .channels = 4, .input_range = range};
  params.requantize = make_requantize(random, params.channels);
  int8_t weights[4 * 512], input[512], expected[4], output[4];
  random_codes(random, -128, 127, weights, sizeof(weights));
  for (size_t k = 0; k < 512; ++k) input[k] = (int8_t)(weights[k] > 0 ? range.hi : range.lo);
  oaq_reference_fully_connected(&params, 1, input, weights, NULL, expected);
  const OaqPlanner planner = make_planner(random, OAQ_POLICY_INT16);
  OaqFullyConnected op;
  CHECK(oaq_fully_connected_create(&params, weights, NULL, &planner, &op, NULL));
  CHECK(oaq_fully_connected_reshape(&op, 1, NULL));
  oaq_fully_connected_run(&op, input, false, output);
  CHECK(memcmp(output, expected, sizeof(output)) == 0);
  oaq_fully_connected_free(&op);
  free(params.requantize.channels);
}

// An input that leaves the range the op was made for, as one registered without the delegate meets.
static void check_broken_claim(Random* random) {
  OaqFullyConnectedParams params = {
      .products = 70, .channels = 5, .input_zero_point = 3, .input_range = {-4, 6}};
  params.requantize = make_requantize(random, params.channels);
  int8_t weights[5 * 70], input[2 * 70], expected[2 * 5], output[2 * 5];
  random_codes(random, -128, 127, weights, sizeof(weights));
  random_codes(random, -128, 127, input, sizeof(input));
  oaq_reference_fully_connected(&params, 2, input, weights, NULL, expected);
  OaqPlanner planner = make_planner(random, OAQ_POLICY_INT16);
  planner.any_codes = true;
  OaqFullyConnected op;
  CHECK(oaq_fully_connected_create(&params, weights, NULL, &planner, &op, NULL));
  CHECK(oaq_fully_connected_reshape(&op, 2, NULL));
  oaq_fully_connected_run(&op, input, true, output);
  CHECK(memcmp(output, expected, sizeof(output)) == 0);
  oaq_fully_connected_free(&op);
  free(params.requantize.channels);
}

int main(void) {
  pools[1] = oaq_threads_create(2, 1);
  pools[2] = oaq_threads_create(5, 40);
  CHECK(pools[1] != NULL && pools[2] != NULL);
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels == NULL) {
      printf("%s: not on this CPU\n", oaq_isas[i]);
      continue;
    }
    Random random = {4};
    for (int round = 0; round < 600; ++round) {
      check_conv_2d(&random);
      check_depthwise_conv_2d(&random);
      check_fully_connected(&random);
      check_transpose_conv(&random);
      check_worst_input(&random, kRanges[round % 4]);
      check_broken_claim(&random);
    }
    CHECK(kernels->broadcast == NULL || (met_broadcast[false] > 50 && met_broadcast[true] > 50));
    memset(met_broadcast, 0, sizeof(met_broadcast));
  }
  OAQ_COUNTING(CHECK(overflows.overflows == 0 && overflows.drains > 1000 * 1000);)
  oaq_scratch_free(&scratch);
  for (int i = 0; i < 3; ++i) oaq_threads_destroy(pools[i]);
  return 0;
}
