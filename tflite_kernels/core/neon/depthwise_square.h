// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_DEPTHWISE_SQUARE_H_
#define OAQ_CORE_NEON_DEPTHWISE_SQUARE_H_

#include <stdbool.h>

#include "core/neon/depthwise_lanes.h"
#include "core/neon/requantize_neon.h"

// Square filters. Some outputs next to each other at once, row by row of the filter: a code of the
// input is loaded once for all outputs that see it, and weights of a side of 3 stay in registers.
// The filter's side, its stride, the depth, that is products between two drains, whether there are
// start values, and what becomes of sums are constants wherever this is inlined. Loops over outputs
// and rows are written out, since clang 14 keeps arrays in memory that are indexed in nested loops.

enum { kMostSide = 5, kMostHeld = 9, kNeverDrained = kMostSide * kMostSide };

typedef struct Filter {
  const int8_t* weights;
  int8x8_t held[kMostHeld];  // all of them, of a side of 3
  int16x8_t start;
  Wide bias;
} Filter;

typedef struct Outputs {
  int16x8_t lanes[kMostColumns];
  Wide sums[kMostColumns];  // not used where lanes are never drained
} Outputs;

// The products of output n with a row of the filter. `window`: the codes under it, of which the
// next output sees some as well.
OAQ_INLINE void add_to_output(size_t side, size_t stride, size_t depth, bool has_start,
                              size_t count, size_t row, size_t n, const int8x8_t weights[kMostSide],
                              const Filter* filter, const int8_t* in, int8x8_t window[kMostSide],
                              Outputs* outputs) {
  int16x8_t lanes = outputs->lanes[n];
  OAQ_UNROLL
  for (size_t t = 0; t < side; ++t) {
    const size_t tap = row * side + t;
    if (tap % depth > 0) {
      lanes = vmlal_s8(lanes, window[t], weights[t]);
    } else if (has_start) {
      lanes = vmlal_s8(filter->start, window[t], weights[t]);
    } else {
      lanes = vmull_s8(window[t], weights[t]);
    }
    const bool full = tap % depth == depth - 1 || tap == side * side - 1;
    if (depth < side * side && full) {
      outputs->sums[n] = drain(tap < depth ? filter->bias : outputs->sums[n], lanes);
    }
  }
  outputs->lanes[n] = lanes;
  if (n + 1 == count) return;
  OAQ_UNROLL
  for (size_t t = 0; t < side; ++t) {
    window[t] =
        t + stride < side ? window[t + stride] : vld1_s8(in + ((n + 1) * stride + t) * kPixel);
  }
}

// Ends a row: compilers would load the next rows' codes before there are registers for them, and
// with 16 registers begin the next sums, too.
#ifdef __aarch64__
#define OAQ_FINISH(lanes) __asm__ volatile("" : : : "memory")
#else
#define OAQ_FINISH(lanes) __asm__ volatile("" : "+w"(lanes) : : "memory")
#endif

OAQ_INLINE void add_row(size_t side, size_t stride, size_t depth, bool has_start, size_t count,
                        size_t row, const Filter* filter, const int8_t* in, Outputs* outputs) {
  int8x8_t weights[kMostSide];
  int8x8_t window[kMostSide];
  OAQ_UNROLL
  for (size_t t = 0; t < side; ++t) {
    const size_t tap = row * side + t;
    weights[t] =
        side * side <= kMostHeld ? filter->held[tap] : vld1_s8(filter->weights + tap * kTile);
    window[t] = vld1_s8(in + t * kPixel);
  }
  OAQ_FOR_COLUMNS(count, add_to_output(side, stride, depth, has_start, count, row, n, weights,
                                       filter, in, window, outputs))
  if (side > 3 || depth < side * side) {
    OAQ_FOR_COLUMNS(count, OAQ_FINISH(outputs->lanes[n]))
  }
}

typedef enum Ending { kSums, kCodes, kSignedCodes } Ending;

// Where outputs go, of eight channels.
typedef struct Results {
  int32_t* acc;  // or
  int8_t* codes;
  size_t codes_stride;
  Multipliers low, high;
  Limits limits;
} Results;

OAQ_INLINE int16x8_t requantize(Wide sums, const Results* results, bool is_signed) {
  const Limits* limits = &results->limits;
  return narrow_scaled(scale(sums.low, &results->low, limits, false, is_signed),
                       scale(sums.high, &results->high, limits, false, is_signed));
}

// A pair of outputs n and n + 1, or n alone.
OAQ_INLINE void store_codes(size_t count, size_t n, const Wide sums[kMostColumns],
                            const Results* results, size_t column, bool is_signed) {
  int8_t* to = results->codes + (column + n) * results->codes_stride;
  const int16x8_t first = requantize(sums[n], results, is_signed);
  if (count == 1) {
    vst1_s8(to, vget_low_s8(narrow_plain(first, first, &results->limits, is_signed)));
    return;
  }
  const int16x8_t second = requantize(sums[n + 1], results, is_signed);
  const int8x16_t codes = narrow_plain(first, second, &results->limits, is_signed);
  vst1_s8(to, vget_low_s8(codes));
  vst1_s8(to + results->codes_stride, vget_high_s8(codes));
}

OAQ_INLINE void make_outputs(size_t side, size_t stride, size_t depth, bool has_start, size_t count,
                             const Filter* filter, const int8_t* const rows[kMostSide],
                             size_t column, Ending ending, const Results* results) {
  const size_t offset = column * stride * kPixel;
  Outputs outputs;
#define OAQ_ADD(row)                                                                             \
  if ((row) < side) {                                                                            \
    add_row(side, stride, depth, has_start, count, (row), filter, rows[row] + offset, &outputs); \
  }
  OAQ_ADD(0)
  OAQ_ADD(1)
  OAQ_ADD(2)
  OAQ_ADD(3)
  OAQ_ADD(4)
#undef OAQ_ADD
  const bool drained = depth < side * side;
  if (!drained) {
    OAQ_FOR_COLUMNS(count, outputs.sums[n] = drain(filter->bias, outputs.lanes[n]))
  }
  if (ending == kSums) {
    OAQ_FOR_COLUMNS(count, store_wide(outputs.sums[n], results->acc + (column + n) * kTile))
    return;
  }
  store_codes(count, 0, outputs.sums, results, column, ending == kSignedCodes);
  if (count == 4) store_codes(count, 2, outputs.sums, results, column, ending == kSignedCodes);
}

// `count` outputs at a time; the last ones again where that is not a multiple of it.
OAQ_INLINE void make_row(size_t side, size_t stride, size_t depth, bool has_start, size_t count,
                         size_t columns, const Filter* filter, const int8_t* const rows[kMostSide],
                         Ending ending, const Results* results) {
  for (size_t n = 0;;) {
    make_outputs(side, stride, depth, has_start, count, filter, rows, n, ending, results);
    if (n + count >= columns) return;
    n = n + 2 * count <= columns ? n + count : columns - count;
  }
}

// Outputs at once: as many as there are registers for, whatever the compiler.
#ifdef __aarch64__
enum { kOutputs = 4, kDrainedOutputs = 4 };
#else
enum { kOutputs = 4, kDrainedOutputs = 2 };
#endif

// Half of a tile, from `channel` on.
OAQ_INLINE void square_half(size_t side, size_t stride, size_t depth, size_t channel,
                            size_t columns, const int16_t* start, const void* const* rows,
                            const int8_t* b, const int32_t* bias, Ending ending,
                            const Results* results) {
  const bool has_start = start != NULL;
  const size_t count = depth < side * side ? kDrainedOutputs : kOutputs;
  Filter filter = {.weights = b + channel, .bias = load_wide(bias + channel)};
  if (has_start) filter.start = vld1q_s16(start + channel);
  OAQ_UNROLL
  for (size_t t = 0; t < kMostHeld; ++t) filter.held[t] = vld1_s8(filter.weights + t * kTile);
  const int8_t* from[kMostSide];
  OAQ_UNROLL
  for (size_t row = 0; row < side; ++row) from[row] = (const int8_t*)rows[row] + channel;
  if (columns >= count) {
    make_row(side, stride, depth, has_start, count, columns, &filter, from, ending, results);
  } else {
    make_row(side, stride, depth, has_start, 1, columns, &filter, from, ending, results);
  }
}

OAQ_INLINE void square(size_t side, size_t stride, size_t depth, size_t columns,
                       const int16_t* start, const void* const* rows, const int8_t* b,
                       const int32_t* bias, int32_t* acc) {
  for (size_t channel = 0; channel < kTile; channel += kHalf) {
    const Results results = {.acc = acc + channel};
    square_half(side, stride, depth, channel, columns, start, rows, b, bias, kSums, &results);
  }
}

#endif  // OAQ_CORE_NEON_DEPTHWISE_SQUARE_H_
