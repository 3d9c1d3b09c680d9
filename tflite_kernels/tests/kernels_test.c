// SPDX-License-Identifier: Apache-2.0
#include "core/kernels.h"

#include <string.h>

#include "core/bound.h"
#include "core/gemm.h"
#include "test.h"

// The micro-kernels of one ISA against a sum in 64 bits, with drain lists and start values as
// packing makes them, over inputs that reach the bound.

static const OaqRange kRanges[] = {{-128, 127}, {0, 127}, {-63, 63}, {-128, 0}, {127, 127}};

// Which input to try: random codes of the range, or the ones that bring a lane to its ends.
static int8_t input_code(Random* random, OaqRange range, int8_t q, int mode) {
  if (mode == 0) return (int8_t)random_int(random, range.lo, range.hi);
  return (int8_t)((q > 0) == (mode == 1) ? range.hi : range.lo);
}

static void check_sums(const OaqWeights* weights, size_t rows, const int8_t* input,
                       const int32_t* acc, size_t acc_stride) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < weights->channels; ++n) {
      int64_t sum = 0;
      for (size_t k = 0; k < weights->products; ++k) {
        sum += input[m * weights->products + k] * oaq_weight(weights, n, k);
      }
      CHECK(acc[m * acc_stride + n] == sum);
    }
  }
}

// Tiles of families with two exact kernels, by whether they may run on the faster one.
static size_t met_pairs[2];

static void check_gemm(const OaqKernels* kernels, const OaqGemm* gemm, Random* random,
                       size_t products, OaqRange range, int mode) {
  const size_t per_tile = gemm->layout->channels_per_tile;
  const size_t channels = (size_t)random_int(random, 1, (int32_t)per_tile);
  OaqPanels panels;
  CHECK(oaq_panels_init(products, gemm, true, &panels, NULL));
  OaqScratch scratch = {0};
  OaqScratchUse use = {.scratch = &scratch, .workers = 1};
  CHECK(oaq_panels_add(&panels, panels.max_rows, &use.size, NULL));
  CHECK(oaq_scratch_reserve(&use, NULL));
  const OaqPanel panel = oaq_panels_at(&panels, oaq_scratch_worker(&use, 0));
  // Often more than the kernel takes at once.
  enum { kMaxRows = 40 };
  const size_t most = panels.max_rows < kMaxRows ? panels.max_rows : kMaxRows;
  const size_t rows =
      (size_t)random_int(random, 1, (int32_t)(random_int(random, 0, 1) ? gemm->rows : most));
  int8_t* codes = test_alloc(channels * products, 1);
  // Small enough now and then that pairs fit and lanes are never drained.
  const int32_t magnitude = mode == 2 ? 20 : random_int(random, 0, 1) ? 127 : 3;
  random_codes(random, -magnitude, magnitude, codes, channels * products);
  // The code that is not the negative of another one: two of its products leave 16 bits.
  if (random_int(random, 0, 3) == 0) random_codes(random, -128, -126, codes, channels * products);
  const OaqWeights weights = {codes, channels, products, products, 1};
  // The worst case of one channel at a time: its signs choose the input.
  const size_t aim = (size_t)random_int(random, 0, (int32_t)channels - 1);
  int8_t* input = test_alloc(rows * products, 1);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t k = 0; k < products; ++k) {
      input[m * products + k] = input_code(random, range, oaq_weight(&weights, aim, k), mode);
    }
  }
  static const OaqPolicy kPolicies[] = {OAQ_POLICY_INT16, OAQ_POLICY_EXACT};
  for (int policy = 0; policy < (gemm->i32 != NULL ? 2 : 1); ++policy) {
    const OaqPlanner planner = {.policy = kPolicies[policy], .kernels = kernels};
    const OaqPacking packing = oaq_gemm_packing(gemm);
    OaqPacked packed;
    OaqPlanSummary summary = {0};
    CHECK(oaq_pack(&weights, NULL, 0, range, &packing, &planner, &packed, &summary, NULL));
    CHECK(packed.num_tiles == 1);
    const OaqTile* tile = &packed.tiles[0];
    CHECK(tile->int16 == (policy == 0 && gemm->i16 != NULL && summary.tiles_saturating == 0));
    for (size_t m = 0; m < rows; ++m) {
      memcpy(oaq_panel_row(&panels, &panel, m), input + m * products, products);
    }
    const OaqInput read = oaq_panel_finish(&panels, &panel, rows, &packed);
    _Alignas(64) int32_t acc[kMaxRows * OAQ_MAX_TILE_CHANNELS];
    if (tile->int16) {
      gemm->i16(rows, &tile->drains, &read.codes, tile->weights, packed.bias_int16, acc);
    } else {
      gemm->i32(rows, tile->wide ? &read.wide : &read.codes, tile->weights, packed.bias_exact, acc);
    }
    CHECK(!tile->paired || gemm->i32_pairs != NULL);
    if (tile->paired && !tile->int16) {
      check_sums(&weights, rows, input, acc, per_tile);
      ++met_pairs[true];
      gemm->i32_pairs(rows, &read.codes, tile->weights, packed.bias_exact, acc);
    } else if (gemm->i32_pairs != NULL && !tile->paired) {
      ++met_pairs[false];
    }
    check_sums(&weights, rows, input, acc, per_tile);
    oaq_packed_free(&packed);
  }
  oaq_scratch_free(&scratch);
  free(codes);
  free(input);
}

// Sums whose scaled values miss the next code by 2^-(31 + e), the least that there is: what rounds
// them to fewer bits gives that code.
static void check_nearest_misses(const OaqKernels* kernels) {
  enum { kChannels = 16 };
  static const struct {
    int32_t sum, multiplier, shift;
    int8_t code;
  } kMisses[] = {{4085749, 1442423715, -14, 39},  {3320983, 1763994841, -14, 38},
                 {7842827, 1260617821, -15, 12},  {7030895, 2076764529, -15, 79},
                 {12453295, 1723436721, -16, 24}, {13675637, 1631140899, -16, 30}};
  for (size_t i = 0; i < sizeof(kMisses) / sizeof(kMisses[0]); ++i) {
    OaqMultiplier multipliers[kChannels];
    _Alignas(64) int32_t acc[kChannels];
    for (size_t c = 0; c < kChannels; ++c) {
      multipliers[c] = (OaqMultiplier){kMisses[i].multiplier, kMisses[i].shift};
      acc[c] = kMisses[i].sum;
    }
    const OaqRequantize requantize = {
        .channels = multipliers, .zero_point = -128, .lo = -128, .hi = 127};
    CHECK(oaq_requantize(&requantize, 0, kMisses[i].sum) == kMisses[i].code);
    CHECK(oaq_requantize(&requantize, 0, kMisses[i].sum + 1) == kMisses[i].code + 1);
    OaqOutputStage stage;
    CHECK(oaq_output_stage_init(&requantize, kChannels, &stage, NULL));
    CHECK(stage.in_double[0] == (kMisses[i].shift >= -14));
    int8_t out[kChannels];
    kernels->output(&stage, 0, kChannels, 1, acc, kChannels, out, kChannels);
    for (size_t c = 0; c < kChannels; ++c) CHECK(out[c] == kMisses[i].code);
    oaq_output_stage_free(&stage);
  }
}

// Output stages against oaq_requantize, at sums next to halves and at the ends of int32.
static void check_output(const OaqKernels* kernels, Random* random) {
  enum { kRows = 9, kStride = 48 };
  const size_t channels = (size_t)random_int(random, 1, 40);
  OaqMultiplier multipliers[40];
  // Some kernels tell short right shifts from others, and do neighbours alike.
  static const int32_t kLeast[] = {-31, -16, -14, -8};
  const int32_t least = kLeast[random_int(random, 0, 3)];
  const bool plain = random_int(random, 0, 1) == 1;
  for (size_t c = 0; c < channels; ++c) {
    const int32_t most = plain || random_int(random, 0, 9) ? -1 : 2;
    multipliers[c] =
        (OaqMultiplier){random_int(random, 1 << 30, INT32_MAX), random_int(random, least, most)};
    if (random_int(random, 0, 3) == 0) multipliers[c].multiplier = 1 << 30;
    // Next to 1, where adding the zero point to an end of int32 wraps.
    if (!plain && random_int(random, 0, 3) == 0) {
      multipliers[c] =
          (OaqMultiplier){INT32_MAX - random_int(random, 0, 40), random_int(random, 0, 1)};
    }
    if (random_int(random, 0, 15) == 0) multipliers[c] = (OaqMultiplier){0, 0};
  }
  OaqRequantize requantize = {.channels = multipliers,
                              .zero_point = random_int(random, -128, 127),
                              .lo = random_int(random, -128, 127),
                              .hi = 127};
  if (random_int(random, 0, 1)) requantize.lo = requantize.zero_point;
  requantize.hi = random_int(random, requantize.lo, 127);
  OaqOutputStage stage;
  CHECK(oaq_output_stage_init(&requantize, channels, &stage, NULL));
  _Alignas(64) int32_t acc[kRows * kStride];
  int8_t out[kRows * kStride + 1];
  const size_t first = (size_t)random_int(random, 0, (int32_t)channels - 1);
  for (size_t i = 0; i < kRows * kStride; ++i) {
    const size_t c = first + i % kStride;
    const int shift = c < channels && multipliers[c].shift < 0 ? -multipliers[c].shift : 0;
    const double odd = random_int(random, -300, 300) * 2 + 1;
    // Scaled by the multiplier, or by its least value.
    const bool exact = c < channels && multipliers[c].multiplier > 0 && random_int(random, 0, 1);
    const double scale = exact ? (1 << 30) / (double)multipliers[c].multiplier : 1.0;
    const int64_t half = (int64_t)(odd * scale * (double)(INT64_C(1) << shift));
    const int64_t near_half = half + random_int(random, -2, 2);
    const int32_t kEnds[] = {INT32_MIN, INT32_MAX, -1, 0, 1};
    const int32_t code_sized = near_half > INT32_MAX || near_half < INT32_MIN
                                   ? random_int(random, INT32_MIN / 2, INT32_MAX / 2)
                                   : (int32_t)near_half;
    acc[i] = random_int(random, 0, 7) ? code_sized : kEnds[random_int(random, 0, 4)];
  }
  memset(out, 0x55, sizeof(out));
  const size_t rows = (size_t)random_int(random, 1, kRows);
  kernels->output(&stage, first, channels - first, rows, acc, kStride, out, kStride);
  for (size_t i = 0; i < sizeof(out); ++i) {
    const size_t c = first + i % kStride;
    const bool written = i < rows * kStride && c < channels;
    CHECK(out[i] == (written ? oaq_requantize(&requantize, c, acc[i]) : 0x55));
  }
  oaq_output_stage_free(&stage);
}

static int times_asked;

static const OaqGemm* scalar_gemm(void) {
  ++times_asked;
  return &oaq_kernels_scalar.gemms[0];
}

// A family that asks which core it is on has no kernels called but those of the answer.
static void check_of_this_core(void) {
  const OaqGemm asks = {.layout = scalar_gemm()->layout, .rows = 4, .of_this_core = scalar_gemm};
  enum { kRows = 3, kChannels = 4, kProducts = 8 };
  CHECK(asks.layout == &oaq_layout_c8);
  int8_t codes[kChannels * kProducts], input[kRows * kProducts];
  memset(codes, 3, sizeof(codes));
  memset(input, 2, sizeof(input));
  const OaqWeights weights = {codes, kChannels, kProducts, kProducts, 1};
  const OaqPlanner planner = {.policy = OAQ_POLICY_EXACT, .kernels = &oaq_kernels_scalar};
  const OaqPacking packing = oaq_gemm_packing(&asks);
  OaqPacked packed;
  OaqPlanSummary summary = {0};
  CHECK(oaq_pack(&weights, NULL, 0, kRanges[0], &packing, &planner, &packed, &summary, NULL));
  OaqMultiplier halves[kChannels];
  for (size_t c = 0; c < kChannels; ++c) halves[c] = (OaqMultiplier){1 << 30, 0};
  const OaqRequantize requantize = {.channels = halves, .lo = -128, .hi = 127};
  OaqOutputStage stage;
  CHECK(oaq_output_stage_init(&requantize, kChannels, &stage, NULL));
  const OaqInput rows = oaq_rows_in_place(&packed, input, kRows);
  const OaqTiles tiles = {&packed, 0, 1, 0};
  int8_t out[kRows * kChannels] = {0};
  times_asked = 0;
  oaq_gemm(&rows, &tiles, &asks, oaq_kernels_scalar.output, &stage, false, out, kChannels);
  CHECK(times_asked == 1);
  for (size_t i = 0; i < sizeof(out); ++i) CHECK(out[i] == kProducts * 3 * 2 / 2);
  oaq_output_stage_free(&stage);
  oaq_packed_free(&packed);
}

// Blocks of one step that adds pairs drain after two products: exact sums are faster than that, so
// no plan may prefer them.
static void check_cost(const OaqLayout* layout, const OaqCost* cost) {
  CHECK(layout->per_lane != 2 || cost->int16_step + cost->int16_drain > cost->exact_step);
}

static void check_costs(const OaqKernels* kernels) {
  for (size_t i = 0; i < kernels->num_gemms; ++i) {
    const OaqGemm* gemm = &kernels->gemms[i];
    if (gemm->i16 != NULL) check_cost(gemm->layout, &gemm->cost);
  }
  const OaqDepthwise* depthwise = kernels->depthwise;
  check_cost(depthwise->layout, &depthwise->cost);
  for (size_t i = 0; i < depthwise->num_filters; ++i) {
    check_cost(depthwise->layout, &depthwise->filters[i].cost);
  }
}

int main(void) {
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels == NULL) {
      printf("%s: not on this CPU\n", oaq_isas[i]);
      continue;
    }
    check_costs(kernels);
    Random random = {3};
    for (size_t products = 1; products <= 300; products += products < 40 ? 1 : 23) {
      for (size_t r = 0; r < sizeof(kRanges) / sizeof(kRanges[0]); ++r) {
        for (int mode = 0; mode < 3; ++mode) {
          for (int round = 0; round < 4; ++round) {
            const OaqGemm* gemm = &kernels->gemms[(size_t)round % kernels->num_gemms];
            check_gemm(kernels, gemm, &random, products, kRanges[r], mode);
            if (kernels->broadcast == NULL) continue;
            check_gemm(kernels, kernels->broadcast, &random, products, kRanges[r], mode);
          }
        }
      }
    }
    const bool pairs = kernels->gemms[0].i32_pairs != NULL;
    CHECK(!pairs || (met_pairs[false] > 50 && met_pairs[true] > 50));
    memset(met_pairs, 0, sizeof(met_pairs));
    for (int round = 0; round < 3000; ++round) check_output(kernels, &random);
    check_nearest_misses(kernels);
  }
  check_of_this_core();
  CHECK(oaq_kernels_find("auto") != NULL && oaq_kernels_find("no such isa") == NULL);
  return 0;
}
