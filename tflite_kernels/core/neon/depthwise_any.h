// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_DEPTHWISE_ANY_H_
#define OAQ_CORE_NEON_DEPTHWISE_ANY_H_

#include <stdbool.h>

#include "core/neon/depthwise_lanes.h"

// Any filter, tap by tap: a tap's weights are loaded once for four output columns, whose sums stay
// in registers from block to block.

typedef struct Taps {
  const void* const* at;
  size_t offset, column_stride;  // in bytes
} Taps;

// One block; `start` may be NULL. That, `count`, which are the columns, and a block's steps where
// they are few are constants wherever this is inlined.
OAQ_INLINE void add_block(size_t count, size_t steps, Taps taps, const int8_t* b,
                          const int16_t* start, Wide sums[kMostColumns]) {
  int16x8_t lanes[kMostColumns];
  int8x8_t weights = vld1_s8(b);
  const int8_t* codes = (const int8_t*)taps.at[0] + taps.offset;
  OAQ_FOR_COLUMNS(count, {
    const int8x8_t pixel = vld1_s8(codes + n * taps.column_stride);
    lanes[n] =
        start != NULL ? vmlal_s8(vld1q_s16(start), pixel, weights) : vmull_s8(pixel, weights);
  })
  for (size_t s = 1; s < steps; ++s) {
    weights = vld1_s8(b + s * kTile);
    codes = (const int8_t*)taps.at[s] + taps.offset;
    OAQ_FOR_COLUMNS(count,
                    lanes[n] = vmlal_s8(lanes[n], vld1_s8(codes + n * taps.column_stride), weights))
  }
  OAQ_FOR_COLUMNS(count, sums[n] = drain(sums[n], lanes[n]))
}

// What is drained when: by list, or where that is NULL after each `depth` steps, a constant.
typedef struct Blocks {
  const uint32_t* list;
  size_t count;
  const int16_t* start;
  size_t depth, steps;
} Blocks;

OAQ_INLINE void add_columns(size_t count, Blocks blocks, Taps taps, const int8_t* b,
                            const int32_t* bias, int32_t* acc) {
  Wide sums[kMostColumns];
  OAQ_FOR_COLUMNS(count, sums[n] = load_wide(bias))
  for (size_t i = 0; blocks.list != NULL && i < blocks.count; ++i) {
    const size_t steps = blocks.list[i];
    add_block(count, steps, taps, b, blocks.start, sums);
    taps.at += steps;
    b += steps * kTile;
    if (blocks.start != NULL) blocks.start += kTile;
  }
  for (; blocks.list == NULL && blocks.steps >= blocks.depth; blocks.steps -= blocks.depth) {
    add_block(count, blocks.depth, taps, b, NULL, sums);
    taps.at += blocks.depth;
    b += blocks.depth * kTile;
  }
  if (blocks.list == NULL && blocks.depth > 1 && blocks.steps > 0) {
    add_block(count, 1, taps, b, NULL, sums);
  }
  OAQ_FOR_COLUMNS(count, store_wide(sums[n], acc + n * kTile))
}

OAQ_INLINE void any_filter(size_t columns, Blocks blocks, const void* const* taps,
                           size_t column_stride, const int8_t* b, const int32_t* bias,
                           int32_t* acc) {
  const int16_t* start = blocks.start;
  for (size_t channel = 0; channel < kTile; channel += kHalf) {
    if (start != NULL) blocks.start = start + channel;
    const int8_t* weights = b + channel;
    Taps from = {taps, channel, column_stride};
    size_t n = 0;
    for (; n + kMostColumns <= columns; n += kMostColumns) {
      add_columns(kMostColumns, blocks, from, weights, bias + channel, acc + channel + n * kTile);
      from.offset += kMostColumns * column_stride;
    }
    for (; n < columns; ++n) {
      add_columns(1, blocks, from, weights, bias + channel, acc + channel + n * kTile);
      from.offset += column_stride;
    }
  }
}

#endif  // OAQ_CORE_NEON_DEPTHWISE_ANY_H_
