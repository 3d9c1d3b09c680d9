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

size_t oaq_drain_list(const OaqWeights* weights, const OaqLayout* layout, size_t first_channel,
                      size_t channels, OaqRange range, uint32_t* blocks) {
  assert(channels <= OAQ_MAX_TILE_CHANNELS && layout->lanes <= OAQ_MAX_LANES);
  const size_t steps = oaq_layout_steps(layout, weights->products);
  const size_t step = oaq_layout_step(layout);
  uint64_t l1[OAQ_MAX_TILE_CHANNELS][OAQ_MAX_LANES] = {{0}};
  uint64_t grown[OAQ_MAX_TILE_CHANNELS][OAQ_MAX_LANES];
  size_t count = 0;
  uint32_t length = 0;
  for (size_t s = 0; s < steps; ++s) {
    const size_t begin = s * step;
    const size_t end = oaq_min_size(begin + step, weights->products);
    bool safe = true;
    memcpy(grown, l1, sizeof(l1));
    for (size_t c = 0; c < channels; ++c) {
      for (size_t k = begin; k < end; ++k) {
        uint64_t* lane = &grown[c][oaq_layout_lane(layout, k)];
        *lane += magnitude(oaq_weight(weights, first_channel + c, k));
        safe = safe && oaq_block_is_safe(range, *lane);
      }
    }
    // A single step is safe for any codes (255 * 2 * 128 <= 65535), so `length` is never 0 here.
    if (!safe) {
      blocks[count++] = length;
      length = 0;
      for (size_t c = 0; c < channels; ++c) {
        for (size_t l = 0; l < layout->lanes; ++l) grown[c][l] -= l1[c][l];
      }
    }
    memcpy(l1, grown, sizeof(l1));
    ++length;
  }
  if (length > 0) blocks[count++] = length;
  return count;
}

// Whether every aligned block of `depth` products of one lane is safe.
static bool lane_fits_depth(const OaqWeights* weights, const OaqLayout* layout, size_t channel,
                            size_t lane, size_t depth, OaqRange range) {
  uint64_t l1 = 0;
  size_t taken = 0;
  for (size_t s = 0; s * oaq_layout_step(layout) < weights->products; ++s) {
    for (size_t i = 0; i < layout->per_lane; ++i) {
      const size_t k = s * oaq_layout_step(layout) + lane * layout->per_lane + i;
      if (k >= weights->products) continue;
      if (taken++ % depth == 0) l1 = 0;
      l1 += magnitude(oaq_weight(weights, channel, k));
      if (!oaq_block_is_safe(range, l1)) return false;
    }
  }
  return true;
}

size_t oaq_max_depth(const OaqWeights* weights, const OaqLayout* layout, OaqRange range) {
  for (size_t depth = oaq_ceil_div(weights->products, layout->lanes); depth > 1; --depth) {
    bool fits = true;
    for (size_t c = 0; fits && c < weights->channels; ++c) {
      for (size_t l = 0; fits && l < layout->lanes; ++l) {
        fits = lane_fits_depth(weights, layout, c, l, depth, range);
      }
    }
    if (fits) return depth;
  }
  return 1;
}
