// SPDX-License-Identifier: Apache-2.0
#include "core/pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

OaqPacking oaq_gemm_packing(const OaqGemm* gemm) {
  return (OaqPacking){.layout = gemm->layout,
                      .cost = &gemm->cost,
                      .exact_end = gemm->exact_end,
                      .int16 = gemm->i16 != NULL,
                      .shifted = gemm->shifted,
                      .i16_wide = gemm->i16_wide,
                      .exact_wide = gemm->exact_wide,
                      .exact_pairs = gemm->i32_pairs != NULL};
}

void oaq_pack_tile(const OaqWeights* weights, const OaqLayout* layout, size_t first_channel,
                   int8_t* out) {
  const size_t step = oaq_layout_step(layout);
  const size_t per_tile = layout->channels_per_tile;
  const size_t steps = oaq_layout_steps(layout, weights->products);
  const size_t filled = oaq_ceil_div(weights->products, step);
  const size_t channels = first_channel < weights->channels
                              ? oaq_min_size(per_tile, weights->channels - first_channel)
                              : 0;
  memset(out, 0, steps * per_tile * step);
  for (size_t c = 0; c < channels; ++c) {
    const int8_t* codes = weights->codes + (first_channel + c) * weights->channel_stride;
    for (size_t s = 0; s < filled; ++s) {
      int8_t* to = out + (s * per_tile + c) * step;
      const size_t count = oaq_min_size(step, weights->products - s * step);
      if (weights->product_stride == 1 && count == 4) {
        memcpy(to, codes + s * step, 4);
      } else {
        for (size_t k = 0; k < count; ++k) to[k] = codes[(s * step + k) * weights->product_stride];
      }
    }
  }
}

static void widen_codes(const int8_t* codes, size_t count, int16_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = codes[i];
}

// From [steps][channels][step] codes to [steps * step / 2][channels][2] int16.
static void widen_pairs(const int8_t* codes, const OaqLayout* layout, size_t steps, int16_t* out) {
  const size_t step = oaq_layout_step(layout);
  const size_t channels = layout->channels_per_tile;
  for (size_t s = 0; s < steps; ++s) {
    for (size_t pair = 0; pair < step / 2; ++pair) {
      for (size_t c = 0; c < channels; ++c) {
        const int8_t* from = codes + (s * channels + c) * step + 2 * pair;
        *out++ = from[0];
        *out++ = from[1];
      }
    }
  }
}

static void fold_biases(const OaqWeights* weights, const void* bias, int32_t zero_point,
                        OaqPacked* packed) {
  for (size_t c = 0; c < weights->channels; ++c) {
    const int8_t* codes = weights->codes + c * weights->channel_stride;
    int64_t sum = 0;
    if (weights->product_stride == 1) {
      for (size_t k = 0; k < weights->products; ++k) sum += codes[k];
    } else {
      for (size_t k = 0; k < weights->products; ++k) sum += codes[k * weights->product_stride];
    }
    int32_t value = 0;
    if (bias != NULL) memcpy(&value, (const char*)bias + c * sizeof(value), sizeof(value));
    const uint64_t offset = (uint64_t)sum * (uint64_t)(int64_t)(zero_point - packed->shift);
    packed->bias_exact[c] = (int32_t)((uint32_t)value - (uint32_t)offset);
    packed->bias_int16[c] = packed->bias_exact[c];
  }
}

static bool allocate_start(OaqDrains* drains, size_t lanes) {
  drains->start = calloc(drains->num_blocks, lanes * sizeof(*drains->start));
#ifdef OAQ_COUNT_OVERFLOWS
  drains->true_start = calloc(drains->num_blocks, lanes * sizeof(*drains->true_start));
  if (drains->true_start == NULL) return false;
#endif
  return drains->start != NULL;
}

// How often the lanes of each channel may be added in 16 bits, at most `most`. Clobbers the sums.
static uint32_t safe_levels(OaqRange range, const OaqLayout* layout, uint32_t most,
                            OaqLaneSums* sums, int64_t* starts) {
  size_t lanes = oaq_layout_tile_lanes(layout);
  for (uint32_t level = 0; level < most; ++level) {
    lanes /= 2;
    for (size_t l = 0; l < lanes; ++l) {
      sums[l] = (OaqLaneSums){sums[2 * l].positive + sums[2 * l + 1].positive,
                              sums[2 * l].negative + sums[2 * l + 1].negative};
      starts[l] = starts[2 * l] + starts[2 * l + 1];
      if (!oaq_lanes_fit(range, sums[l], starts[l])) return level;
    }
  }
  return most;
}

// Start values of one tile, folded into its int16 biases, and its levels. Leaves `start` NULL where
// zero does.
static bool add_start_values(const int8_t* codes, OaqRange range, OaqDrains* drains,
                             const OaqLayout* layout, int32_t* bias) {
  const size_t lanes = oaq_layout_tile_lanes(layout);
  enum { kMostLevels = 3 };
  drains->levels = layout->lanes == 1 << kMostLevels ? kMostLevels : 0;
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    OaqLaneSums sums[OAQ_MAX_TILE_LANES] = {{0, 0}};
    int64_t starts[OAQ_MAX_TILE_LANES] = {0};
    for (uint32_t s = 0; s < drains->blocks[block]; ++s) {
      for (size_t l = 0; l < lanes; ++l) {
        for (size_t i = 0; i < layout->per_lane; ++i) oaq_lane_sums_add(&sums[l], *codes++);
      }
    }
    for (size_t l = 0; l < lanes; ++l) {
      const int64_t value = oaq_start_value(range, sums[l]);
      starts[l] = value;
      if (value == 0) continue;
      if (drains->start == NULL && !allocate_start(drains, lanes)) return false;
      drains->start[block * lanes + l] = (int16_t)(uint16_t)(uint64_t)value;
      OAQ_COUNTING(drains->true_start[block * lanes + l] = value;)
      int32_t* folded = &bias[l / layout->lanes];
      *folded = (int32_t)((uint32_t)*folded - (uint32_t)(uint64_t)value);
    }
    drains->levels = safe_levels(range, layout, drains->levels, sums, starts);
  }
  return true;
}

// OaqDrains.first_steps of a drain list; NULL where memory is out.
static uint8_t* mark_first_steps(const uint32_t* blocks, size_t num_blocks, size_t steps) {
  uint8_t* marks = calloc(steps / 8, sizeof(*marks));
  size_t step = 0;
  for (size_t i = 0; marks != NULL && i < num_blocks; step += blocks[i++]) {
    marks[step / 8] = (uint8_t)(marks[step / 8] | 1u << step % 8);
  }
  return marks;
}

// Decides for one tile, whose codes are at `codes`.
static bool plan_tile(const int8_t* codes, OaqRange range, const OaqPacking* packing,
                      const OaqPlanner* planner, size_t index, uint32_t* blocks, OaqPacked* packed,
                      OaqPlanSummary* summary) {
  const OaqLayout* layout = packing->layout;
  const int32_t width = range.hi - range.lo;
  OaqPolicy policy = packing->int16 ? planner->policy : OAQ_POLICY_EXACT;
  size_t count = 1;
  const bool pairs_safe =
      layout->per_lane != 2 || oaq_pairs_are_safe(codes, layout, packed->steps, width);
  if (packing->int16 && pairs_safe) {
    count = oaq_drain_list(codes, layout, packed->steps, range, blocks);
  } else if (policy != OAQ_POLICY_EXACT) {
    policy = OAQ_POLICY_EXACT;
    ++summary->tiles_saturating;
  }
#ifdef OAQ_COUNT_OVERFLOWS
  if (planner->unproven) {
    blocks[0] = (uint32_t)packed->steps;
    count = 1;
    policy = packing->int16 ? OAQ_POLICY_INT16 : OAQ_POLICY_EXACT;
  }
#endif
  OaqTile* tile = &packed->tiles[index];
  tile->int16 = oaq_plan_tile(policy, packing->cost, packing->exact_end, layout, packed->steps,
                              blocks, count, summary);
  tile->wide = !tile->int16 && packing->exact_wide;
  tile->paired = packing->exact_pairs && oaq_neighbours_fit(codes, layout, packed->steps);
  if (!tile->int16) return true;
  tile->drains.blocks = calloc(count, sizeof(*blocks));
  if (tile->drains.blocks == NULL) return false;
  memcpy(tile->drains.blocks, blocks, count * sizeof(*blocks));
  tile->drains.num_blocks = count;
  OAQ_COUNTING(tile->drains.overflows = planner->overflows;)
  if (layout->at_once == 8) {
    tile->drains.first_steps = mark_first_steps(blocks, count, packed->steps);
    if (tile->drains.first_steps == NULL) return false;
  }
  if (layout->from_zero) return true;
  return add_start_values(codes, range, &tile->drains, layout,
                          packed->bias_int16 + index * layout->channels_per_tile);
}

// Whether a tile's weights are int16.
static bool takes_int16(const OaqTile* tile, const OaqPacking* packing) {
  return tile->wide || (tile->int16 && packing->i16_wide);
}

// Plans all tiles, then packs them into a buffer of just their size.
static bool pack_tiles(const OaqWeights* weights, OaqRange range, const OaqPacking* packing,
                       const OaqPlanner* planner, size_t tile_size, uint32_t* blocks,
                       OaqPacked* packed, OaqPlanSummary* summary) {
  const OaqLayout* layout = packing->layout;
  int8_t* codes = malloc(tile_size);
  bool good = codes != NULL;
  size_t sizes = packed->num_tiles;  // of int8 tiles
  for (size_t index = 0; good && index < packed->num_tiles; ++index) {
    oaq_pack_tile(weights, layout, index * layout->channels_per_tile, codes);
    good = plan_tile(codes, range, packing, planner, index, blocks, packed, summary);
    sizes += takes_int16(&packed->tiles[index], packing) ? 1 : 0;
  }
  good = good && oaq_size_multiply(sizes, tile_size, &packed->weights_size);
  packed->weights = good ? malloc(packed->weights_size) : NULL;
  char* next = packed->weights;
  for (size_t index = 0; next != NULL && index < packed->num_tiles; ++index) {
    OaqTile* tile = &packed->tiles[index];
    const bool widened = takes_int16(tile, packing);
    int8_t* to = widened ? codes : (int8_t*)next;
    oaq_pack_tile(weights, layout, index * layout->channels_per_tile, to);
    if (tile->wide) {
      widen_pairs(codes, layout, packed->steps, (int16_t*)(void*)next);
    } else if (widened) {
      widen_codes(codes, tile_size, (int16_t*)(void*)next);
    }
    packed->any_wide = packed->any_wide || tile->wide;
    tile->weights = next;
    next += widened ? 2 * tile_size : tile_size;
  }
  free(codes);
  return packed->weights != NULL;
}

static bool allocate(bool any_codes, OaqPacked* packed, size_t* tile_size) {
  const size_t per_tile = packed->layout->channels_per_tile;
  size_t padded_channels = 0;
  if (!oaq_size_multiply(packed->steps, per_tile * oaq_layout_step(packed->layout), tile_size) ||
      !oaq_size_multiply(packed->num_tiles, per_tile, &padded_channels)) {
    return false;
  }
  packed->tiles = calloc(packed->num_tiles, sizeof(*packed->tiles));
  packed->bias_exact = calloc(padded_channels, sizeof(*packed->bias_exact));
  packed->bias_int16 =
      any_codes ? calloc(padded_channels, sizeof(*packed->bias_int16)) : packed->bias_exact;
  return packed->tiles != NULL && packed->bias_exact != NULL && packed->bias_int16 != NULL;
}

bool oaq_pack(const OaqWeights* weights, const void* bias, int32_t zero_point, OaqRange range,
              const OaqPacking* packing, const OaqPlanner* planner, OaqPacked* packed,
              OaqPlanSummary* summary, OaqError* error) {
  const OaqLayout* layout = packing->layout;
  *packed = (OaqPacked){.layout = layout,
                        .channels = weights->channels,
                        .products = weights->products,
                        .steps = oaq_layout_steps(layout, weights->products),
                        .num_tiles = oaq_ceil_div(weights->channels, layout->channels_per_tile),
                        .shift = packing->shifted ? range.lo : 0};
  if (weights->channels == 0 || weights->products == 0 || packed->steps > UINT32_MAX) {
    return oaq_fail(error, "weights of %zu channels with %zu products each, expected 1 or more",
                    weights->channels, weights->products);
  }
  const OaqRange shifted = {range.lo - packed->shift, range.hi - packed->shift};
  size_t tile_size = 0;
  uint32_t* blocks = calloc(packed->steps, sizeof(*blocks));
  bool packed_all = blocks != NULL && allocate(planner->any_codes, packed, &tile_size);
  if (packed_all) {
    fold_biases(weights, bias, zero_point, packed);
    packed_all = pack_tiles(weights, shifted, packing, planner, tile_size, blocks, packed, summary);
  }
  free(blocks);
  if (!packed_all) {
    oaq_packed_free(packed);
    return oaq_fail(error, "out of memory for the packed weights of %zu channels with %zu products",
                    weights->channels, weights->products);
  }
  return true;
}

size_t oaq_packed_bytes(const OaqPacked* packed) {
  const size_t lanes = oaq_layout_tile_lanes(packed->layout);
  const size_t channels = packed->num_tiles * packed->layout->channels_per_tile;
  const size_t biases = packed->bias_int16 != packed->bias_exact ? 2 : 1;
  size_t bytes = packed->weights_size + packed->num_tiles * sizeof(*packed->tiles) +
                 biases * channels * sizeof(*packed->bias_exact);
  for (size_t i = 0; i < packed->num_tiles; ++i) {
    const OaqDrains* drains = &packed->tiles[i].drains;
    bytes += drains->num_blocks * sizeof(*drains->blocks);
    if (drains->first_steps != NULL) bytes += packed->steps / 8;
    if (drains->start == NULL) continue;
    bytes += drains->num_blocks * lanes * sizeof(*drains->start);
    OAQ_COUNTING(bytes += drains->num_blocks * lanes * sizeof(*drains->true_start);)
  }
  return bytes;
}

void oaq_packed_free(OaqPacked* packed) {
  for (size_t i = 0; packed->tiles != NULL && i < packed->num_tiles; ++i) {
    free(packed->tiles[i].drains.blocks);
    free(packed->tiles[i].drains.first_steps);
    free(packed->tiles[i].drains.start);
    OAQ_COUNTING(free(packed->tiles[i].drains.true_start);)
  }
  free(packed->weights);
  free(packed->tiles);
  if (packed->bias_int16 != packed->bias_exact) free(packed->bias_int16);
  free(packed->bias_exact);
  *packed = (OaqPacked){0};
}
