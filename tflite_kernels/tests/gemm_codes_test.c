// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/bound.h"
#include "core/kernels.h"
#include "core/pack.h"
#include "test.h"

// GEMM kernels that end in the output stage, against sums and oaq_output_scalar.

static const OaqRange kRanges[] = {{-128, 127}, {0, 127}, {-63, 63}, {-128, 0}};

// A random code of the range, or the one that brings a lane to one of its ends.
static int8_t input_code(Random* random, OaqRange range, int8_t q) {
  const int mode = random_int(random, 0, 2);
  if (mode == 0) return (int8_t)random_int(random, range.lo, range.hi);
  return (int8_t)((q > 0) == (mode == 1) ? range.hi : range.lo);
}

// Drain lists that kernels for codes were tried with: by level, and with blocks and start values.
typedef struct MetDrains {
  size_t levels[4], several, started, whole, last_levels;
} MetDrains;

// A stage of right shifts alone: random ones, and such that make halves.
static OaqOutputStage plain_stage(Random* random, size_t channels) {
  OaqMultiplier multipliers[2 * OAQ_MAX_TILE_CHANNELS];
  const int32_t most = random_int(random, 0, 3) == 0 ? 31 : 18;
  const bool halves = random_int(random, 0, 3) == 0;
  for (size_t c = 0; c < channels; ++c) {
    const int32_t ends[] = {1 << 30, INT32_MAX, random_int(random, 1 << 30, INT32_MAX)};
    multipliers[c] = (OaqMultiplier){ends[halves ? 0 : random_int(random, 0, 2)],
                                     -random_int(random, 1, halves ? 8 : most)};
    if (random_int(random, 0, 31) == 0) multipliers[c] = (OaqMultiplier){0, 0};
  }
  OaqRequantize requantize = {
      .channels = multipliers, .zero_point = random_int(random, -128, 127), .lo = -128, .hi = 127};
  const int limits = random_int(random, 0, 3);
  if (limits == 0) requantize.zero_point = -128;
  if (limits == 1) requantize.lo = requantize.zero_point;
  if (limits == 2) requantize.lo = random_int(random, -128, 127);
  if (limits != 0) requantize.hi = random_int(random, requantize.lo, 127);
  OaqOutputStage stage;
  CHECK(oaq_output_stage_init(&requantize, channels, &stage, NULL));
  CHECK(oaq_output_stage_is_plain(&stage, 0, channels));
  return stage;
}

// Kernels that end in the output stage against sums and oaq_output_scalar, over rows that overlap,
// of some segments.
static void check_codes(const OaqKernels* kernels, const OaqGemm* gemm, Random* random,
                        MetDrains* met) {
  enum { kMaxRows = 40, kMaxStride = OAQ_MAX_TILE_CHANNELS + 9 };
  const size_t channels = gemm->layout->channels_per_tile;
  const size_t step = oaq_layout_step(gemm->layout);
  const size_t rows = (size_t)random_int(random, 1, kMaxRows);
  const size_t segments = random_int(random, 0, 1) ? 1 : (size_t)random_int(random, 2, 4);
  const size_t granules = (size_t)random_int(random, 1, random_int(random, 0, 3) ? 9 : 60);
  const size_t segment_steps = granules * gemm->layout->at_once;
  const size_t segment = segment_steps * step, products = segments * segment;
  const size_t stride = (size_t)random_int(random, 1, (int32_t)products);
  size_t offsets[4], end = 0;
  for (size_t i = 0; i < segments; ++i) {
    offsets[i] = (size_t)random_int(random, 0, 200);
    end = offsets[i] > end ? offsets[i] : end;
  }
  static const int32_t kMagnitudes[] = {127, 40, 8, 2};
  const int32_t magnitude = kMagnitudes[random_int(random, 0, 3)];
  int8_t* codes = test_alloc(channels * products, 1);
  random_codes(random, -magnitude, magnitude, codes, channels * products);
  int32_t bias[OAQ_MAX_TILE_CHANNELS];
  const int32_t most_bias = random_int(random, 0, 3) ? 1 << 16 : INT32_MAX;
  for (size_t n = 0; n < channels; ++n) bias[n] = random_int(random, -most_bias, most_bias);
  const OaqWeights weights = {codes, channels, products, products, 1};
  const OaqRange range = kRanges[random_int(random, 0, 3)];
  const OaqPlanner planner = {.policy = OAQ_POLICY_INT16, .kernels = kernels};
  const OaqPacking packing = oaq_gemm_packing(gemm);
  OaqPacked packed;
  OaqPlanSummary summary = {0};
  CHECK(oaq_pack(&weights, bias, 0, range, &packing, &planner, &packed, &summary, NULL));
  OaqTile* tile = &packed.tiles[0];
  OaqDrains* drains = &tile->drains;
  const size_t size = (rows - 1) * stride + end + segment;
  int8_t* input = test_alloc(size, 1);
  for (size_t i = 0; i < size; ++i) {
    const int8_t q = codes[i % (channels * products)];
    input[i] = input_code(random, range, q);
  }
  int32_t acc[kMaxRows * OAQ_MAX_TILE_CHANNELS];
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      uint32_t sum = (uint32_t)bias[n];
      for (size_t k = 0; k < products; ++k) {
        const int32_t a = input[m * stride + offsets[k / segment] + k % segment];
        sum += (uint32_t)(a * oaq_weight(&weights, n, k));
      }
      acc[m * channels + n] = (int32_t)sum;
    }
  }
  for (size_t i = 0; i < size; ++i) input[i] = (int8_t)(input[i] - packed.shift);
  const size_t channel = (size_t)random_int(random, 0, OAQ_MAX_TILE_CHANNELS);
  OaqOutputStage stage = plain_stage(random, channel + channels);
  const size_t out_stride = channels + (size_t)random_int(random, 0, 9);
  int8_t out[kMaxRows * kMaxStride + 1], expected[sizeof(out)];
  memset(out, 0x55, sizeof(out));
  memset(expected, 0x55, sizeof(expected));
  if (tile->int16) {
    // Fewer levels are as good.
    drains->levels = (uint32_t)random_int(random, 0, (int32_t)drains->levels);
    drains->last_levels =
        (uint32_t)random_int(random, (int32_t)drains->levels, (int32_t)drains->last_levels);
    const OaqRows a = {input, stride, offsets, segments, segment_steps};
    gemm->i16_codes(rows, drains, &a, tile->weights, packed.bias_int16, &stage, channel, out,
                    out_stride);
    oaq_output_scalar(&stage, channel, channels, rows, acc, channels, expected, out_stride);
    CHECK(memcmp(out, expected, sizeof(out)) == 0);
    ++met->levels[drains->levels];
    met->several += drains->num_blocks > 1;
    met->last_levels += drains->last_levels > drains->levels;
    met->started += drains->start != NULL;
    met->whole += segments == 1 && drains->num_blocks == 1;
  }
  oaq_output_stage_free(&stage);
  oaq_packed_free(&packed);
  free(codes);
  free(input);
}

static void check_family(const OaqKernels* kernels, const OaqGemm* gemm, Random* random) {
  if (gemm == NULL || gemm->i16_codes == NULL) return;
  MetDrains met = {{0}, 0, 0, 0, 0};
  for (int round = 0; round < 3000; ++round) check_codes(kernels, gemm, random, &met);
  const size_t levels = gemm->layout->lanes == 8 ? 4 : 1;
  for (size_t level = 0; level < levels; ++level) CHECK(met.levels[level] > 50);
  CHECK(met.several > 50 && met.whole > 50);
  CHECK(levels == 1 || met.last_levels > 50);
  CHECK(gemm->layout->from_zero ? met.started == 0 : met.started > 50);
}

int main(void) {
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels == NULL) {
      printf("%s: not on this CPU\n", oaq_isas[i]);
      continue;
    }
    Random random = {5};
    for (size_t g = 0; g < kernels->num_gemms; ++g) {
      check_family(kernels, &kernels->gemms[g], &random);
    }
    check_family(kernels, kernels->broadcast, &random);
  }
  return 0;
}
