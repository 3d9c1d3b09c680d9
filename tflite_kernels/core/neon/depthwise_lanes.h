// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_DEPTHWISE_LANES_H_
#define OAQ_CORE_NEON_DEPTHWISE_LANES_H_

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "core/neon/inline.h"

// What the depthwise kernels share: int16 lanes of eight channels, half of a tile, and the int32
// sums that they are drained into.

enum { kTile = 16, kPixel = 16, kHalf = 8 };

typedef struct Wide {
  int32x4_t low, high;
} Wide;

OAQ_INLINE Wide load_wide(const int32_t* from) {
  return (Wide){vld1q_s32(from), vld1q_s32(from + 4)};
}

OAQ_INLINE void store_wide(Wide sums, int32_t* to) {
  vst1q_s32(to, sums.low);
  vst1q_s32(to + 4, sums.high);
}

OAQ_INLINE Wide drain(Wide sums, int16x8_t lanes) {
#ifdef __aarch64__
  return (Wide){vaddw_s16(sums.low, vget_low_s16(lanes)), vaddw_high_s16(sums.high, lanes)};
#else
  return (Wide){vaddw_s16(sums.low, vget_low_s16(lanes)),
                vaddw_s16(sums.high, vget_high_s16(lanes))};
#endif
}

// A statement for each of `count` output columns n, at most four. Written out, with constants for
// n, since clang 14 keeps arrays in memory that are indexed in nested loops.
#define OAQ_FOR_COLUMNS(count, statement) \
  OAQ_COLUMN(0, count, statement)         \
  OAQ_COLUMN(1, count, statement)         \
  OAQ_COLUMN(2, count, statement)         \
  OAQ_COLUMN(3, count, statement)
#define OAQ_COLUMN(index, count, statement) \
  if ((index) < (count)) {                  \
    enum { n = (index) };                   \
    statement;                              \
  }

enum { kMostColumns = 4 };

#endif  // OAQ_CORE_NEON_DEPTHWISE_LANES_H_
