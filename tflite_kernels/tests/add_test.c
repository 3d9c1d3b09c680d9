// SPDX-License-Identifier: Apache-2.0
#include "core/add.h"

#include <math.h>
#include <string.h>

#include "test.h"

// TFLite's AddElementwise, from its own steps.
static int8_t reference(const OaqAddParams* params, int8_t a, int8_t b) {
  const int8_t codes[2] = {a, b};
  const double sum_scale = 2 * fmax(params->scales[0], params->scales[1]);
  int32_t sum = 0;
  for (int i = 0; i < 2; ++i) {
    OaqMultiplier multiplier;
    CHECK(oaq_quantize_multiplier(params->scales[i] / sum_scale, &multiplier, NULL));
    const int32_t value = (codes[i] - params->zero_points[i]) * (1 << 20);
    sum += oaq_multiply_by_quantized_multiplier(value, multiplier);
  }
  OaqMultiplier multiplier;
  const double scale = sum_scale / ((1 << 20) * params->output_scale);
  CHECK(oaq_quantize_multiplier(scale, &multiplier, NULL));
  const int32_t code =
      oaq_multiply_by_quantized_multiplier(sum, multiplier) + params->output_zero_point;
  return (int8_t)(code < params->lo ? params->lo : code > params->hi ? params->hi : code);
}

static double random_scale(Random* random) { return exp2(random_int(random, -1000, 1000) / 200.0); }

static OaqAddParams random_params(Random* random, int round) {
  OaqAddParams params = {
      .scales = {random_scale(random), random_scale(random)},
      .zero_points = {random_int(random, -128, 127), random_int(random, -128, 127)},
      .output_scale = random_scale(random),
      .output_zero_point = random_int(random, -128, 127),
      .lo = random_int(random, -128, 0),
      .hi = random_int(random, 0, 127)};
  if (round % 4 == 0) params.scales[1] = params.scales[0];
  if (round % 5 == 0) params.scales[0] = params.scales[1] * exp2(-random_int(random, 0, 40));
  if (round % 3 == 0) params.lo = params.output_zero_point;
  if (params.hi < params.lo) params.hi = params.lo;
  // Sums that are many codes apart, and such as share one.
  if (round % 7 == 0) params.output_scale *= exp2(random_int(random, -10, 20));
  return params;
}

static void check_isa(const char* isa) {
  const OaqKernels* kernels = oaq_kernels_find(isa);
  if (kernels == NULL) return;
  enum { kPairs = 256 * 256 };
  Random random = {7};
  int8_t* codes = test_alloc(2, kPairs);
  int8_t* out = test_alloc(1, kPairs + 1);
  for (int i = 0; i < kPairs; ++i) {
    codes[i] = (int8_t)(i % 256 - 128);
    codes[kPairs + i] = (int8_t)(i / 256 - 128);
  }
  OaqThreads* threads = oaq_threads_create(3, 1000);
  CHECK(threads != NULL);
  for (int round = 0; round < 60; ++round) {
    const OaqAddParams params = random_params(&random, round);
    OaqAdd op;
    OaqError error;
    if (!oaq_add_create(&params, kernels, round % 2 ? threads : NULL, &op, &error)) {
      CHECK(strstr(error.text, "expected") != NULL);
      continue;
    }
    // All pairs of codes, or a few that are no whole rows.
    const size_t count = round % 3 == 2 ? (size_t)random_int(&random, 0, 100) : kPairs;
    memset(out, 0x55, kPairs + 1);
    oaq_add_run(&op, count, codes, codes + kPairs, out);
    CHECK(out[count] == 0x55);
    for (size_t i = 0; i < count; ++i) {
      CHECK(out[i] == reference(&params, codes[i], codes[kPairs + i]));
    }
    memcpy(out, codes, kPairs);
    oaq_add_run(&op, count, out, codes + kPairs, out);
    for (size_t i = 0; i < count; ++i) {
      CHECK(out[i] == reference(&params, codes[i], codes[kPairs + i]));
    }
    oaq_add_free(&op);
  }
  oaq_threads_destroy(threads);
  free(codes);
  free(out);
}

static void test_refuses_what_tflite_does(void) {
  const OaqAddParams good = {.scales = {1, 1}, .output_scale = 1, .lo = -128, .hi = 127};
  OaqAddParams bad[] = {good, good, good, good, good};
  bad[0].scales[0] = 0;
  bad[1].scales[1] = (double)NAN;
  bad[2].output_scale = 0;
  bad[3].output_scale = 1e-6;
  bad[4].zero_points[1] = 128;
  OaqAdd op;
  CHECK(oaq_add_create(&good, &oaq_kernels_scalar, NULL, &op, NULL));
  oaq_add_free(&op);
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    CHECK(!oaq_add_create(&bad[i], &oaq_kernels_scalar, NULL, &op, NULL));
  }
}

int main(void) {
  for (size_t i = 0; i < oaq_num_isas; ++i) check_isa(oaq_isas[i]);
  test_refuses_what_tflite_does();
  return 0;
}
