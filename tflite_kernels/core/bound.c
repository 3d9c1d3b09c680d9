// SPDX-License-Identifier: Apache-2.0
#include "core/bound.h"

#include <assert.h>
#include <string.h>

#include "core/size.h"

// 2^16 - 1: how far apart the ends of what a 16-bit lane holds are.
enum { kLaneSpan = 65535 };

static uint32_t magnitude(int8_t code) { return (uint32_t)(code < 0 ? -code : code); }

void oaq_lane_sums_add(OaqLaneSums* sums, int8_t code) {
  if (code > 0) {
    sums->positive += code;
  } else {
    sums->negative -= code;
  }
}

bool oaq_block_is_safe(OaqRange range, uint64_t l1) {
  const uint64_t width = (uint64_t)(range.hi - range.lo);
  return width == 0 || l1 <= kLaneSpan / width;
}

static int64_t largest_sum(OaqRange range, OaqLaneSums sums) {
  return range.hi * sums.positive - range.lo * sums.negative;
}

static int64_t smallest_sum(OaqRange range, OaqLaneSums sums) {
  return range.lo * sums.positive - range.hi * sums.negative;
}

bool oaq_zero_start_is_safe(OaqRange range, OaqLaneSums sums) {
  return largest_sum(range, sums) <= INT16_MAX && smallest_sum(range, sums) >= INT16_MIN;
}

int64_t oaq_start_value(OaqRange range, OaqLaneSums sums) {
  if (oaq_zero_start_is_safe(range, sums)) return 0;
  const int64_t smallest = smallest_sum(range, sums);
  const int64_t slack = kLaneSpan - (largest_sum(range, sums) - smallest);
  return INT16_MIN - smallest + slack / 2;
}

bool oaq_lanes_fit(OaqRange range, OaqLaneSums sums, int64_t start) {
  return start + largest_sum(range, sums) <= INT16_MAX &&
         start + smallest_sum(range, sums) >= INT16_MIN;
}

// Sums of |q| that one step adds to each lane of a tile.
static void step_sums(const int8_t* codes, size_t lanes, size_t per_lane, uint32_t* sums) {
  if (per_lane == 2) {
    for (size_t l = 0; l < lanes; ++l)
      sums[l] = magnitude(codes[2 * l]) + magnitude(codes[2 * l + 1]);
  } else {
    for (size_t l = 0; l < lanes; ++l) sums[l] = magnitude(codes[l]);
  }
}

// oaq_drain_list for lanes that start from zero, a product a step.
static size_t drain_list_from_zero(const int8_t* tile, size_t lanes, size_t steps, OaqRange range,
                                   uint32_t* blocks) {
  OaqLaneSums sums[OAQ_MAX_TILE_LANES] = {{0, 0}};
  size_t count = 0;
  uint32_t length = 0;
  for (size_t s = 0; s < steps; ++s, tile += lanes) {
    bool safe = true;
    for (size_t l = 0; l < lanes; ++l) {
      oaq_lane_sums_add(&sums[l], tile[l]);
      safe = safe && oaq_zero_start_is_safe(range, sums[l]);
    }
    if (!safe) {
      blocks[count++] = length;
      length = 0;
      for (size_t l = 0; l < lanes; ++l) {
        sums[l] = (OaqLaneSums){0, 0};
        oaq_lane_sums_add(&sums[l], tile[l]);
      }
    }
    ++length;
  }
  if (length > 0) blocks[count++] = length;
  return count;
}

size_t oaq_drain_list(const int8_t* tile, const OaqLayout* layout, size_t steps, OaqRange range,
                      uint32_t* blocks) {
  const size_t lanes = oaq_layout_tile_lanes(layout);
  const int32_t width = range.hi - range.lo;
  assert(lanes <= OAQ_MAX_TILE_LANES && layout->per_lane <= 2);
  if (layout->from_zero) return drain_list_from_zero(tile, lanes, steps, range, blocks);
  // Below 2^31, so that adding a step to it does not wrap.
  const uint32_t limit = width > 0 ? (uint32_t)(kLaneSpan / width) : INT32_MAX;
  uint32_t l1[OAQ_MAX_TILE_LANES] = {0};
  uint32_t sums[OAQ_MAX_TILE_LANES];
  size_t count = 0;
  uint32_t length = 0;
  for (size_t s = 0; s < steps; ++s) {
    step_sums(tile + s * lanes * layout->per_lane, lanes, layout->per_lane, sums);
    uint32_t most = 0;
    for (size_t l = 0; l < lanes; ++l) {
      l1[l] += sums[l];
      most = l1[l] > most ? l1[l] : most;
    }
    // A single step is safe for any codes (255 * 2 * 128 <= 65535), so `length` is never 0 here.
    if (most > limit) {
      blocks[count++] = length;
      length = 0;
      memcpy(l1, sums, sizeof(l1));
    }
    ++length;
  }
  if (length > 0) blocks[count++] = length;
  return count;
}

bool oaq_pairs_are_safe(const int8_t* tile, const OaqLayout* layout, size_t steps, int32_t width) {
  assert(layout->per_lane == 2);
  const size_t pairs = steps * oaq_layout_tile_lanes(layout);
  int32_t largest = 0;
  int32_t smallest = 0;
  for (size_t i = 0; i < pairs; ++i) {
    const int32_t a = tile[2 * i], b = tile[2 * i + 1];
    const int32_t positive = (a > 0 ? a : 0) + (b > 0 ? b : 0);
    const int32_t negative = (a < 0 ? a : 0) + (b < 0 ? b : 0);
    largest = positive > largest ? positive : largest;
    smallest = negative < smallest ? negative : smallest;
  }
  return width * largest <= INT16_MAX && width * smallest >= INT16_MIN;
}

bool oaq_neighbours_fit(const int8_t* tile, const OaqLayout* layout, size_t steps) {
  assert(layout->per_lane == 1);
  const size_t lanes = oaq_layout_tile_lanes(layout);
  const int8_t* end = tile + steps * lanes;
  // Files seldom have the code at all.
  const int8_t* found = memchr(tile, INT8_MIN & 0xFF, (size_t)(end - tile));
  for (; found != NULL && (size_t)(end - found) > lanes; ++found) {
    if (found[0] == INT8_MIN && found[lanes] == INT8_MIN) return false;
  }
  return true;
}
