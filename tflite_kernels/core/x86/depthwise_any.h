// SPDX-License-Identifier: Apache-2.0
// Template: any filter. Include after the vectors of an ISA and element size (core/<isa>/
// depthwise_vectors_*.h), which say what each name here stands for.
#ifndef OAQ_CORE_X86_DEPTHWISE_ANY_H_
#define OAQ_CORE_X86_DEPTHWISE_ANY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One block of steps for `count` output columns, a compile-time constant: each vector of weights is
// read once for all of them. acc[n] = from[n * from_stride] + the block's sums.
static inline __attribute__((always_inline)) void block_of_columns(
    size_t count, bool high, size_t steps, const void* const* taps, size_t offset,
    size_t column_stride, const char* b, Vec start, const int32_t* from, size_t from_stride,
    int32_t* acc) {
  Vec sums[4];
  for (size_t n = 0; n < count; ++n) sums[n] = start;
  for (size_t s = 0; s < steps; ++s) {
    const Vec weights = load_weights(b);
    const char* upper = (const char*)taps[2 * s] + offset;
    const char* lower = (const char*)taps[2 * s + 1] + offset;
    for (size_t n = 0; n < count; ++n) {
      const Vec pair = interleave(upper + n * column_stride, lower + n * column_stride, high);
      sums[n] = add(sums[n], multiply(pair, weights));
    }
    b += kStepBytes;
  }
  for (size_t n = 0; n < count; ++n) {
    store_sums(sums[n], from + n * from_stride, acc + n * kTile);
  }
}

// All columns of one vector of channels, a group's lower or upper half. `start`:
// [num_blocks][tile], or NULL.
static inline __attribute__((always_inline)) void any_filter_half(
    size_t group, bool high, size_t columns, const uint32_t* blocks, size_t num_blocks,
    const int16_t* start, const void* const* taps, size_t column_stride, const char* b,
    const int32_t* bias, int32_t* acc) {
  const size_t channel = (group * kHalves + (high ? 1 : 0)) * kLanes;
  b += channel * (kStepBytes / kTile);
  acc += channel;
  const int32_t* from = bias + channel;
  size_t from_stride = 0;
  for (size_t block = 0; block < num_blocks; ++block) {
    const Vec first = start != NULL ? load_start(start + block * kTile + channel) : zero();
    size_t n = 0;
    for (; n + 4 <= columns; n += 4) {
      block_of_columns(4, high, blocks[block], taps, group * sizeof(Vec) + n * column_stride,
                       column_stride, b, first, from + n * from_stride, from_stride,
                       acc + n * kTile);
    }
    for (; n < columns; ++n) {
      block_of_columns(1, high, blocks[block], taps, group * sizeof(Vec) + n * column_stride,
                       column_stride, b, first, from + n * from_stride, from_stride,
                       acc + n * kTile);
    }
    taps += 2 * blocks[block];
    b += blocks[block] * kStepBytes;
    from = acc;
    from_stride = kTile;
  }
}

static inline __attribute__((always_inline)) void any_filter(size_t columns, const uint32_t* blocks,
                                                             size_t num_blocks,
                                                             const int16_t* start,
                                                             const void* const* taps,
                                                             size_t column_stride, const void* b,
                                                             const int32_t* bias, int32_t* acc) {
  for (size_t group = 0; group < kGroups; ++group) {
    any_filter_half(group, false, columns, blocks, num_blocks, start, taps, column_stride, b, bias,
                    acc);
    if (kHalves == 2) {
      any_filter_half(group, true, columns, blocks, num_blocks, start, taps, column_stride, b, bias,
                      acc);
    }
  }
}

#endif  // OAQ_CORE_X86_DEPTHWISE_ANY_H_
