// SPDX-License-Identifier: Apache-2.0
#include "core/bound.h"

#include <string.h>

#include "core/pack.h"
#include "core/size.h"
#include "test.h"

static const OaqLayout* const kLayouts[] = {&oaq_layout_c8, &oaq_layout_c4_8, &oaq_layout_broadcast,
                                            &oaq_layout_channel};
static const OaqRange kRanges[] = {{-128, 127}, {0, 127}, {-75, 127}, {-63, 63}, {5, 5}, {-128, 0}};

// The codes of [lo, hi] that make a sum of products with `q` largest, or smallest.
static int32_t extreme(OaqRange range, int8_t q, bool largest) {
  return (q > 0) == largest ? range.hi : range.lo;
}

// A block that the bound calls safe stays in 16 bits for the worst input of either sign, and the
// bound is tight: those inputs are as far apart as it says.
static void test_worst_case_is_exact(Random* random) {
  for (int round = 0; round < 2000; ++round) {
    const OaqRange range = kRanges[random_int(random, 0, 5)];
    const int count = random_int(random, 1, 40);
    OaqLaneSums sums = {0, 0};
    int64_t l1 = 0, largest = 0, smallest = 0;
    for (int i = 0; i < count; ++i) {
      const int8_t q = (int8_t)random_int(random, -128, 127);
      oaq_lane_sums_add(&sums, q);
      l1 += abs(q);
      largest += extreme(range, q, true) * q;
      smallest += extreme(range, q, false) * q;
    }
    CHECK(sums.positive + sums.negative == l1);
    CHECK(largest - smallest == (range.hi - range.lo) * l1);
    CHECK(oaq_block_is_safe(range, (uint64_t)l1) == (largest - smallest <= 65535));
    CHECK(oaq_zero_start_is_safe(range, sums) == (largest <= 32767 && smallest >= -32768));
    if (!oaq_block_is_safe(range, (uint64_t)l1)) continue;
    const int64_t start = oaq_start_value(range, sums);
    CHECK(start + largest <= 32767 && start + smallest >= -32768);
    if (oaq_zero_start_is_safe(range, sums)) CHECK(start == 0);
  }
}

static void test_edge_of_16_bits(void) {
  CHECK(oaq_block_is_safe((OaqRange){-128, 127}, 257));
  CHECK(!oaq_block_is_safe((OaqRange){-128, 127}, 258));
  CHECK(oaq_block_is_safe((OaqRange){0, 1}, 65535));
  CHECK(!oaq_block_is_safe((OaqRange){0, 1}, 65536));
  CHECK(oaq_block_is_safe((OaqRange){7, 7}, UINT64_MAX));
  const OaqLaneSums up = {32767, 0}, over = {32768, 0}, down = {0, 32768};
  CHECK(oaq_zero_start_is_safe((OaqRange){0, 1}, up));
  CHECK(!oaq_zero_start_is_safe((OaqRange){0, 1}, over));
  CHECK(oaq_zero_start_is_safe((OaqRange){0, 1}, down));
}

// A lane's products in steps [begin, end).
static OaqLaneSums block_sums(const OaqWeights* weights, const OaqLayout* layout, size_t channel,
                              size_t lane, size_t begin, size_t end) {
  OaqLaneSums sums = {0, 0};
  for (size_t k = begin * oaq_layout_step(layout); k < end * oaq_layout_step(layout); ++k) {
    if (k >= weights->products || oaq_layout_lane(layout, k) != lane) continue;
    oaq_lane_sums_add(&sums, oaq_weight(weights, channel, k));
  }
  return sums;
}

static bool tile_block_is_safe(const OaqWeights* weights, const OaqLayout* layout, OaqRange range,
                               size_t begin, size_t end) {
  for (size_t c = 0; c < weights->channels; ++c) {
    for (size_t lane = 0; lane < layout->lanes; ++lane) {
      const OaqLaneSums sums = block_sums(weights, layout, c, lane, begin, end);
      const bool safe = layout->from_zero
                            ? oaq_zero_start_is_safe(range, sums)
                            : oaq_block_is_safe(range, (uint64_t)(sums.positive + sums.negative));
      if (!safe) return false;
    }
  }
  return true;
}

static size_t neighbours[2];  // tiles, by whether those of their steps fit

// By the instruction's own arithmetic, with the activations that bring a pair to its ends.
static void check_pairs(const OaqWeights* weights, const int8_t* tile, const OaqLayout* layout,
                        OaqRange range) {
  const int32_t width = range.hi - range.lo;
  bool safe = true;
  for (size_t c = 0; c < weights->channels; ++c) {
    for (size_t k = 0; k < weights->products; k += 2) {
      const int32_t first = oaq_weight(weights, c, k);
      const int32_t second = k + 1 < weights->products ? oaq_weight(weights, c, k + 1) : 0;
      for (int ends = 0; ends < 4; ++ends) {
        const int32_t sum = (ends & 1 ? width : 0) * first + (ends & 2 ? width : 0) * second;
        safe = safe && sum >= -32768 && sum <= 32767;
      }
    }
  }
  CHECK(oaq_pairs_are_safe(tile, layout, oaq_layout_steps(layout, weights->products), width) ==
        safe);
}

// Likewise, for steps of one product a lane.
static void check_neighbours(const int8_t* tile, const OaqLayout* layout, size_t steps) {
  const size_t lanes = oaq_layout_tile_lanes(layout);
  bool fit = true;
  for (size_t i = 0; i + lanes < steps * lanes; ++i) {
    const int32_t first = tile[i], second = tile[i + lanes];
    for (int ends = 0; ends < 4; ++ends) {
      const int32_t sum = (ends & 1 ? 127 : -128) * first + (ends & 2 ? 127 : -128) * second;
      fit = fit && sum >= -32768 && sum <= 32767;
    }
  }
  ++neighbours[fit];
  CHECK(oaq_neighbours_fit(tile, layout, steps) == fit);
}

static void check_drain_list(const OaqWeights* weights, const OaqLayout* layout, OaqRange range) {
  const size_t steps = oaq_layout_steps(layout, weights->products);
  uint32_t* blocks = test_alloc(steps, sizeof(*blocks));
  int8_t* tile = test_alloc(steps * layout->channels_per_tile, oaq_layout_step(layout));
  oaq_pack_tile(weights, layout, 0, tile);
  const size_t count = oaq_drain_list(tile, layout, steps, range, blocks);
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t end = begin + blocks[i];
    CHECK(blocks[i] >= 1 && end <= steps);
    CHECK(tile_block_is_safe(weights, layout, range, begin, end));
    // Longest: one step more is not safe.
    if (end < steps) CHECK(!tile_block_is_safe(weights, layout, range, begin, end + 1));
    begin = end;
  }
  CHECK(begin == steps);
  if (layout->per_lane == 2) {
    check_pairs(weights, tile, layout, range);
  } else {
    check_neighbours(tile, layout, steps);
  }
  free(tile);
  free(blocks);
}

static void test_drain_lists(Random* random) {
  for (int round = 0; round < 600; ++round) {
    const OaqLayout* layout = kLayouts[round % 4];
    const size_t channels = (size_t)random_int(random, 1, (int32_t)layout->channels_per_tile);
    const size_t products = (size_t)random_int(random, 1, 150);
    const int32_t magnitude = round % 3 == 0 ? 128 : (round % 3 == 1 ? 20 : 2);
    int8_t* codes = test_alloc(channels * products, 1);
    const int32_t most = round % 7 == 0 ? 2 - magnitude : magnitude - 1;
    random_codes(random, -magnitude, most, codes, channels * products);
    const OaqWeights rows = {codes, channels, products, products, 1};
    const OaqWeights columns = {codes, channels, products, 1, channels};
    check_drain_list(&rows, layout, kRanges[round % 6]);
    check_drain_list(&columns, layout, kRanges[round % 6]);
    free(codes);
  }
}

static void test_lanes(void) {
  static const size_t kC4[] = {0, 0, 1, 1, 0, 0, 1, 1};
  for (size_t k = 0; k < 8; ++k) {
    CHECK(oaq_layout_lane(&oaq_layout_c8, k) == k);
    CHECK(oaq_layout_lane(&oaq_layout_c8, k + 8) == k);
    CHECK(oaq_layout_lane(&oaq_layout_c4_8, k) == kC4[k]);
    CHECK(oaq_layout_lane(&oaq_layout_channel, k) == 0);
  }
  CHECK(oaq_layout_steps(&oaq_layout_c8, 17) == 3);
  CHECK(oaq_layout_steps(&oaq_layout_c4_8, 16) == 4);
}

int main(void) {
  Random random = {1};
  test_lanes();
  test_edge_of_16_bits();
  test_worst_case_is_exact(&random);
  test_drain_lists(&random);
  CHECK(neighbours[false] > 30 && neighbours[true] > 50);
  return 0;
}
