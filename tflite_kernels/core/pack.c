// SPDX-License-Identifier: Apache-2.0
#include "core/pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

static void pack_weights(const OaqWeights* weights, OaqPacked* packed) {
  const size_t step = oaq_layout_step(packed->layout);
  const size_t per_tile = packed->layout->channels_per_tile;
  int8_t* out = packed->weights;
  for (size_t tile = 0; tile < packed->num_tiles; ++tile) {
    for (size_t s = 0; s < packed->steps; ++s) {
      for (size_t c = tile * per_tile; c < (tile + 1) * per_tile; ++c) {
        for (size_t k = s * step; k < (s + 1) * step; ++k) {
          *out++ = c < weights->channels && k < weights->products ? oaq_weight(weights, c, k) : 0;
        }
      }
    }
  }
}

static void fold_biases(const OaqWeights* weights, const void* bias, int32_t zero_point,
                        OaqPacked* packed) {
  for (size_t c = 0; c < weights->channels; ++c) {
    int64_t sum = 0;
    for (size_t k = 0; k < weights->products; ++k) sum += oaq_weight(weights, c, k);
    int32_t value = 0;
    if (bias != NULL) memcpy(&value, (const char*)bias + c * sizeof(value), sizeof(value));
    const uint64_t offset = (uint64_t)sum * (uint64_t)(int64_t)zero_point;
    packed->bias_exact[c] = (int32_t)((uint32_t)value - (uint32_t)offset);
    packed->bias_int16[c] = packed->bias_exact[c];
  }
}

static bool allocate_start(OaqDrains* drains, size_t lanes_per_tile) {
  drains->start = calloc(drains->num_blocks, lanes_per_tile * sizeof(*drains->start));
#ifdef OAQ_COUNT_OVERFLOWS
  drains->true_start = calloc(drains->num_blocks, lanes_per_tile * sizeof(*drains->true_start));
  if (drains->true_start == NULL) return false;
#endif
  return drains->start != NULL;
}

// Start values of one tile, folded into its int16 biases. Leaves `start` NULL where zero does.
static bool add_start_values(const OaqWeights* weights, OaqRange range, size_t index,
                             OaqPacked* packed) {
  const OaqLayout* layout = packed->layout;
  OaqDrains* drains = &packed->tiles[index].drains;
  const size_t step = oaq_layout_step(layout);
  const size_t lanes_per_tile = layout->channels_per_tile * layout->lanes;
  const size_t first = index * layout->channels_per_tile;
  const size_t channels = oaq_min_size(layout->channels_per_tile, weights->channels - first);
  size_t begin = 0;
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    const size_t end = oaq_min_size(begin + drains->blocks[block] * step, weights->products);
    for (size_t c = 0; c < channels; ++c) {
      OaqLaneSums sums[OAQ_MAX_LANES] = {{0, 0}};
      for (size_t k = begin; k < end; ++k) {
        oaq_lane_sums_add(&sums[oaq_layout_lane(layout, k)], oaq_weight(weights, first + c, k));
      }
      for (size_t l = 0; l < layout->lanes; ++l) {
        const int64_t value = oaq_start_value(range, sums[l]);
        if (value == 0) continue;
        if (drains->start == NULL && !allocate_start(drains, lanes_per_tile)) return false;
        const size_t lane = block * lanes_per_tile + c * layout->lanes + l;
        drains->start[lane] = (int16_t)(uint16_t)(uint64_t)value;
        OAQ_COUNTING(drains->true_start[lane] = value;)
        int32_t* bias = &packed->bias_int16[first + c];
        *bias = (int32_t)((uint32_t)*bias - (uint32_t)(uint64_t)value);
      }
    }
    begin = end;
  }
  return true;
}

static bool plan_tiles(const OaqWeights* weights, OaqRange range, const OaqCost* cost,
                       const OaqPlanner* planner, OaqPacked* packed, OaqPlanSummary* summary,
                       uint32_t* blocks) {
  const size_t per_tile = packed->layout->channels_per_tile;
  for (size_t index = 0; index < packed->num_tiles; ++index) {
    const size_t first = index * per_tile;
    const size_t channels = oaq_min_size(per_tile, weights->channels - first);
    size_t count = oaq_drain_list(weights, packed->layout, first, channels, range, blocks);
    OaqPolicy policy = planner->policy;
#ifdef OAQ_COUNT_OVERFLOWS
    if (planner->unproven) {
      blocks[0] = (uint32_t)packed->steps;
      count = 1;
      policy = OAQ_POLICY_INT16;
    }
#endif
    OaqTile* tile = &packed->tiles[index];
    tile->int16 =
        oaq_plan_tile(policy, cost, packed->layout, packed->steps, blocks, count, summary);
    if (!tile->int16) continue;
    tile->drains.blocks = calloc(count, sizeof(*blocks));
    if (tile->drains.blocks == NULL) return false;
    memcpy(tile->drains.blocks, blocks, count * sizeof(*blocks));
    tile->drains.num_blocks = count;
    OAQ_COUNTING(tile->drains.overflows = planner->overflows;)
    if (!add_start_values(weights, range, index, packed)) return false;
  }
  return true;
}

static bool allocate(OaqPacked* packed) {
  size_t per_tile_bytes = 0;
  size_t padded_channels = 0;
  if (!oaq_size_multiply(packed->steps,
                         packed->layout->channels_per_tile * oaq_layout_step(packed->layout),
                         &per_tile_bytes) ||
      !oaq_size_multiply(packed->num_tiles, packed->layout->channels_per_tile, &padded_channels)) {
    return false;
  }
  packed->weights = calloc(packed->num_tiles, per_tile_bytes);
  packed->tiles = calloc(packed->num_tiles, sizeof(*packed->tiles));
  packed->bias_exact = calloc(padded_channels, sizeof(*packed->bias_exact));
  packed->bias_int16 = calloc(padded_channels, sizeof(*packed->bias_int16));
  return packed->weights != NULL && packed->tiles != NULL && packed->bias_exact != NULL &&
         packed->bias_int16 != NULL;
}

bool oaq_pack(const OaqWeights* weights, const void* bias, int32_t zero_point, OaqRange range,
              const OaqLayout* layout, const OaqCost* cost, const OaqPlanner* planner,
              OaqPacked* packed, OaqPlanSummary* summary, OaqError* error) {
  *packed = (OaqPacked){.layout = layout,
                        .channels = weights->channels,
                        .products = weights->products,
                        .steps = oaq_layout_steps(layout, weights->products),
                        .num_tiles = oaq_ceil_div(weights->channels, layout->channels_per_tile)};
  if (weights->channels == 0 || weights->products == 0 || packed->steps > UINT32_MAX) {
    return oaq_fail(error, "weights of %zu channels with %zu products each, expected 1 or more",
                    weights->channels, weights->products);
  }
  uint32_t* blocks = calloc(packed->steps, sizeof(*blocks));
  bool packed_all = blocks != NULL && allocate(packed);
  if (packed_all) {
    pack_weights(weights, packed);
    fold_biases(weights, bias, zero_point, packed);
    packed_all = plan_tiles(weights, range, cost, planner, packed, summary, blocks);
  }
  free(blocks);
  if (!packed_all) {
    oaq_packed_free(packed);
    return oaq_fail(error, "out of memory for the packed weights of %zu channels with %zu products",
                    weights->channels, weights->products);
  }
  return true;
}

void oaq_packed_free(OaqPacked* packed) {
  for (size_t i = 0; packed->tiles != NULL && i < packed->num_tiles; ++i) {
    free(packed->tiles[i].drains.blocks);
    free(packed->tiles[i].drains.start);
    OAQ_COUNTING(free(packed->tiles[i].drains.true_start);)
  }
  free(packed->weights);
  free(packed->tiles);
  free(packed->bias_exact);
  free(packed->bias_int16);
  *packed = (OaqPacked){0};
}
