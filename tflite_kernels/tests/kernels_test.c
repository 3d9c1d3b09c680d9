// SPDX-License-Identifier: Apache-2.0
#include "core/kernels.h"

#include <string.h>

#include "core/bound.h"
#include "core/pack.h"
#include "test.h"

// The micro-kernels of one ISA against a sum in 64 bits, with drain lists and start values as
// packing makes them, over inputs that reach the bound.

static const OaqRange kRanges[] = {{-128, 127}, {0, 127}, {-63, 63}, {-128, 0}, {127, 127}};

// Which input to try: random codes of the range, or the ones that bring a lane to its ends.
static int8_t input_code(Random* random, OaqRange range, int8_t q, int mode) {
  if (mode == 0) return (int8_t)random_int(random, range.lo, range.hi);
  return (int8_t)((q > 0) == (mode == 1) ? range.hi : range.lo);
}

static void check_gemm(const OaqKernels* kernels, Random* random, size_t products, OaqRange range,
                       int mode) {
  const size_t channels = (size_t)random_int(random, 1, OAQ_GEMM_CHANNELS);
  const size_t rows = (size_t)random_int(random, 1, OAQ_GEMM_ROWS);
  int8_t* codes = test_alloc(channels * products, 1);
  random_codes(random, mode == 2 ? -20 : -128, 127, codes, channels * products);
  const OaqWeights weights = {codes, channels, products, products, 1};
  const OaqPlanner planner = {.policy = OAQ_POLICY_INT16, .kernels = kernels};
  OaqPacked packed;
  OaqPlanSummary summary = {0};
  CHECK(oaq_pack(&weights, NULL, 0, range, kernels->gemm_layout, &kernels->gemm_cost, &planner,
                 &packed, &summary, NULL));
  CHECK(packed.num_tiles == 1 && packed.tiles[0].int16);
  // The worst case of one channel at a time: its signs choose the input.
  const size_t aim = (size_t)random_int(random, 0, (int32_t)channels - 1);
  int8_t* rows_codes = test_alloc(OAQ_GEMM_ROWS * products, 1);
  int8_t* a = test_alloc(packed.steps * OAQ_GEMM_ROWS, OAQ_GEMM_LANES);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t k = 0; k < products; ++k) {
      const int8_t code = input_code(random, range, oaq_weight(&weights, aim, k), mode);
      rows_codes[m * products + k] = code;
      a[(k / OAQ_GEMM_LANES * OAQ_GEMM_ROWS + m) * OAQ_GEMM_LANES + k % OAQ_GEMM_LANES] = code;
    }
  }
  int32_t acc[OAQ_GEMM_ROWS * OAQ_GEMM_CHANNELS], exact[OAQ_GEMM_ROWS * OAQ_GEMM_CHANNELS];
  const OaqDrains* drains = &packed.tiles[0].drains;
  kernels->gemm_i16(rows, drains, a, packed.weights, acc);
  kernels->gemm_i32(rows, packed.steps, a, packed.weights, exact);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      int64_t sum = 0;
      for (size_t k = 0; k < products; ++k) {
        sum += rows_codes[m * products + k] * oaq_weight(&weights, n, k);
      }
      CHECK(exact[m * OAQ_GEMM_CHANNELS + n] == sum);
      CHECK(acc[m * OAQ_GEMM_CHANNELS + n] + (int64_t)packed.bias_int16[n] == sum);
    }
  }
  oaq_packed_free(&packed);
  free(codes);
  free(rows_codes);
  free(a);
}

static void check_depthwise(const OaqKernels* kernels, Random* random, size_t taps, OaqRange range,
                            int mode) {
  enum { kChannels = OAQ_DEPTHWISE_CHANNELS, kOffset = 5 };
  int8_t* codes = test_alloc(taps * kChannels, 1);
  int8_t* input = test_alloc(taps * (kChannels + kOffset), 1);
  const int8_t** pointers = test_alloc(taps, sizeof(*pointers));
  random_codes(random, -128, 127, codes, taps * kChannels);
  const OaqWeights weights = {codes, kChannels, taps, 1, kChannels};
  const OaqPlanner planner = {.policy = OAQ_POLICY_INT16, .kernels = kernels};
  OaqPacked packed;
  OaqPlanSummary summary = {0};
  CHECK(oaq_pack(&weights, NULL, 0, range, kernels->depthwise_layout, &kernels->depthwise_cost,
                 &planner, &packed, &summary, NULL));
  for (size_t t = 0; t < taps; ++t) {
    pointers[t] = input + t * (kChannels + kOffset);
    for (size_t c = 0; c < kChannels; ++c) {
      input[t * (kChannels + kOffset) + kOffset + c] =
          input_code(random, range, oaq_weight(&weights, c, t), mode);
    }
  }
  int32_t acc[kChannels], exact[kChannels];
  const OaqDrains* drains = &packed.tiles[0].drains;
  kernels->depthwise_i16(drains, pointers, kOffset, packed.weights, acc);
  kernels->depthwise_i32(taps, pointers, kOffset, packed.weights, exact);
  for (size_t c = 0; c < kChannels; ++c) {
    int64_t sum = 0;
    for (size_t t = 0; t < taps; ++t) {
      sum += pointers[t][kOffset + c] * oaq_weight(&weights, c, t);
    }
    CHECK(exact[c] == sum);
    CHECK(acc[c] + (int64_t)packed.bias_int16[c] == sum);
  }
  oaq_packed_free(&packed);
  free(codes);
  free(input);
  free(pointers);
}

int main(void) {
  static const char* const kIsas[] = {"scalar"};
  Random random = {3};
  for (size_t i = 0; i < sizeof(kIsas) / sizeof(kIsas[0]); ++i) {
    const OaqKernels* kernels = oaq_kernels_find(kIsas[i]);
    CHECK(kernels != NULL);
    for (size_t products = 1; products <= 300; products += products < 40 ? 1 : 23) {
      for (size_t r = 0; r < sizeof(kRanges) / sizeof(kRanges[0]); ++r) {
        for (int mode = 0; mode < 3; ++mode) {
          check_gemm(kernels, &random, products, kRanges[r], mode);
          check_depthwise(kernels, &random, products, kRanges[r], mode);
        }
      }
    }
  }
  CHECK(oaq_kernels_find("auto") != NULL && oaq_kernels_find("no such isa") == NULL);
  return 0;
}
