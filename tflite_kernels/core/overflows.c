// SPDX-License-Identifier: Apache-2.0
#include "core/overflows.h"

#include <stdbool.h>

#include "core/kernels.h"

// Of one call of a kernel.
typedef struct Tally {
  int64_t drains, overflows, smallest, largest;
} Tally;

static void add_drain(Tally* tally, int64_t value, bool saturated) {
  ++tally->drains;
  if (saturated || value < INT16_MIN || value > INT16_MAX) ++tally->overflows;
  if (value < tally->smallest) tally->smallest = value;
  if (value > tally->largest) tally->largest = value;
}

static void add_tally(OaqOverflows* overflows, const Tally* tally) {
  if (overflows == NULL) return;
  atomic_fetch_add(&overflows->drains, tally->drains);
  atomic_fetch_add(&overflows->overflows, tally->overflows);
  int64_t seen = atomic_load(&overflows->smallest);
  while (tally->smallest < seen &&
         !atomic_compare_exchange_weak(&overflows->smallest, &seen, tally->smallest)) {
  }
  seen = atomic_load(&overflows->largest);
  while (tally->largest > seen &&
         !atomic_compare_exchange_weak(&overflows->largest, &seen, tally->largest)) {
  }
}

// What one step adds to a lane of a row's channel.
static int32_t step_sum(const OaqGemm* gemm, const OaqRows* rows, size_t row, const void* b,
                        size_t s, size_t channel, size_t lane) {
  const OaqLayout* layout = gemm->layout;
  const size_t step = oaq_layout_step(layout);
  const uint8_t* a = (const uint8_t*)rows->codes + row * rows->stride;
  a += rows->offsets[s / rows->segment_steps] + s % rows->segment_steps * step;
  const size_t first = (s * layout->channels_per_tile + channel) * step;
  int32_t sum = 0;
  for (size_t i = lane * layout->per_lane; i < (lane + 1) * layout->per_lane; ++i) {
    const int32_t activation = gemm->shifted ? a[i] : (int8_t)a[i];
    const int32_t weight =
        gemm->i16_wide ? ((const int16_t*)b)[first + i] : ((const int8_t*)b)[first + i];
    sum += activation * weight;
  }
  return sum;
}

// Lanes that kernels may add in 16 bits, too.
static void add_levels(uint32_t levels, size_t lanes, int64_t* values, Tally* tally) {
  for (uint32_t level = 0; level < levels; ++level) {
    lanes /= 2;
    for (size_t l = 0; l < lanes; ++l) {
      values[l] = values[2 * l] + values[2 * l + 1];
      if (values[l] < INT16_MIN || values[l] > INT16_MAX) ++tally->overflows;
    }
  }
}

// One channel of one row.
static void count_channel(const OaqGemm* gemm, const OaqDrains* drains, const OaqRows* rows,
                          size_t row, const void* b, size_t channel, Tally* tally) {
  const size_t lanes = gemm->layout->lanes;
  const size_t tile_lanes = oaq_layout_tile_lanes(gemm->layout);
  size_t first = 0;
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    int64_t values[OAQ_MAX_LANES] = {0};
    for (size_t l = 0; l < lanes; ++l) {
      const size_t start = block * tile_lanes + channel * lanes + l;
      values[l] = drains->start != NULL ? drains->true_start[start] : 0;
      bool saturated = false;
      for (size_t s = first; s < first + drains->blocks[block]; ++s) {
        const int32_t sum = step_sum(gemm, rows, row, b, s, channel, l);
        saturated = saturated || sum < INT16_MIN || sum > INT16_MAX;
        values[l] += sum;
      }
      add_drain(tally, values[l], saturated);
    }
    add_levels(drains->levels, lanes, values, tally);
    first += drains->blocks[block];
  }
}

void oaq_count_gemm(size_t rows, const OaqGemm* gemm, const OaqDrains* drains, const OaqRows* a,
                    const void* b) {
  Tally tally = {0};
  for (size_t m = 0; m < rows; ++m) {
    for (size_t c = 0; c < gemm->layout->channels_per_tile; ++c) {
      count_channel(gemm, drains, a, m, b, c, &tally);
    }
  }
  add_tally(drains->overflows, &tally);
}

void oaq_count_depthwise(const OaqLayout* layout, const OaqDrains* drains, const int16_t* codes,
                         const int8_t* b) {
  const size_t channels = layout->channels_per_tile;
  Tally tally = {0};
  for (size_t c = 0; c < channels; ++c) {
    size_t s = 0;
    for (size_t block = 0; block < drains->num_blocks; ++block) {
      int64_t value = drains->start != NULL ? drains->true_start[block * channels + c] : 0;
      bool saturated = false;
      for (const size_t end = s + drains->blocks[block]; s < end; ++s) {
        int32_t sum = 0;
        for (size_t i = 0; i < layout->per_lane; ++i) {
          sum += codes[(s * layout->per_lane + i) * channels + c] *
                 b[(s * channels + c) * layout->per_lane + i];
        }
        saturated = saturated || sum < INT16_MIN || sum > INT16_MAX;
        value += sum;
      }
      add_drain(&tally, value, saturated);
    }
  }
  add_tally(drains->overflows, &tally);
}
