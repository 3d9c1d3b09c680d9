// SPDX-License-Identifier: Apache-2.0
// Template: filters of 3 by 3, never drained. Include after the vectors of an ISA and element size.
//
// Five pairs of taps, in the order of oaq_depthwise_order: (0,c) (2,c) for the columns c, then
// (1,0) (1,2), then (1,1) and a zero weight. A column of the input is interleaved once, rows 0 and
// 2 to `outer`, row 1 with the next column but one to `inner`, and added to each output that is
// still open; weights stay in registers.
#ifndef OAQ_CORE_X86_DEPTHWISE_3X3_H_
#define OAQ_CORE_X86_DEPTHWISE_3X3_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Filter3x3 {
  Vec left, middle, right, sides, centre;
  Vec start;
  bool has_start;  // a compile-time constant
} Filter3x3;

// Where an input column is.
typedef struct Rows3x3 {
  const char *rows0, *rows1, *rows2;
} Rows3x3;

static inline __attribute__((always_inline)) Vec outer_3x3(const Rows3x3* at, size_t column,
                                                           bool high) {
  return interleave(at->rows0 + column * kPixel, at->rows2 + column * kPixel, high);
}

static inline __attribute__((always_inline)) Vec inner_3x3(const Rows3x3* at, size_t column,
                                                           bool high) {
  return interleave(at->rows1 + column * kPixel, at->rows1 + (column + 2) * kPixel, high);
}

static inline __attribute__((always_inline)) void move_3x3(Rows3x3* at, size_t columns) {
  at->rows0 += columns * kPixel;
  at->rows1 += columns * kPixel;
  at->rows2 += columns * kPixel;
}

// What an output gets from its first column, and from row 1 of its last.
static inline __attribute__((always_inline)) Vec open_3x3(const Filter3x3* filter, Vec outer,
                                                          Vec inner) {
  const Vec sum = add(multiply(outer, filter->left), multiply(inner, filter->sides));
  return filter->has_start ? add(sum, filter->start) : sum;
}

// From its second column.
static inline __attribute__((always_inline)) Vec continue_3x3(const Filter3x3* filter, Vec sum,
                                                              Vec outer, Vec inner) {
  return add(add(sum, multiply(outer, filter->middle)), multiply(inner, filter->centre));
}

static inline __attribute__((always_inline)) Vec close_3x3(const Filter3x3* filter, Vec sum,
                                                           Vec outer) {
  return add(sum, multiply(outer, filter->right));
}

// Two outputs are open at any time, and take turns. The last output's second column, of its row 1,
// is interleaved with what lies behind its last.
static inline __attribute__((always_inline)) void stride_1_3x3(const Filter3x3* filter, Rows3x3 at,
                                                               bool high, size_t columns,
                                                               const int32_t* bias, int32_t* acc) {
  Vec outer = outer_3x3(&at, 0, high);
  Vec even = open_3x3(filter, outer, inner_3x3(&at, 0, high));
  outer = outer_3x3(&at, 1, high);
  Vec inner = inner_3x3(&at, 1, high);
  even = continue_3x3(filter, even, outer, inner);
  Vec odd = open_3x3(filter, outer, inner);
  for (;;) {
    outer = outer_3x3(&at, 2, high);
    store_sums(close_3x3(filter, even, outer), bias, acc);
    if (columns == 1) return;
    inner = inner_3x3(&at, 2, high);
    odd = continue_3x3(filter, odd, outer, inner);
    even = open_3x3(filter, outer, inner);
    outer = outer_3x3(&at, 3, high);
    store_sums(close_3x3(filter, odd, outer), bias, acc + kTile);
    if (columns == 2) return;
    inner = inner_3x3(&at, 3, high);
    even = continue_3x3(filter, even, outer, inner);
    odd = open_3x3(filter, outer, inner);
    move_3x3(&at, 2);
    acc += 2 * kTile;
    columns -= 2;
  }
}

static inline __attribute__((always_inline)) void stride_2_3x3(const Filter3x3* filter, Rows3x3 at,
                                                               bool high, size_t columns,
                                                               const int32_t* bias, int32_t* acc) {
  Vec outer = outer_3x3(&at, 0, high);
  for (; columns > 0; --columns) {
    Vec sum = open_3x3(filter, outer, inner_3x3(&at, 0, high));
    sum = continue_3x3(filter, sum, outer_3x3(&at, 1, high), inner_3x3(&at, 1, high));
    outer = outer_3x3(&at, 2, high);
    store_sums(close_3x3(filter, sum, outer), bias, acc);
    move_3x3(&at, 2);
    acc += kTile;
  }
}

static inline __attribute__((always_inline)) void half_3x3(size_t stride, size_t group, bool high,
                                                           size_t columns, const int16_t* start,
                                                           const void* const* rows, const char* b,
                                                           const int32_t* bias, int32_t* acc) {
  const size_t channel = (group * kHalves + (high ? 1 : 0)) * kLanes;
  const size_t offset = group * sizeof(Vec);
  b += channel * (kStepBytes / kTile);
  const Rows3x3 at = {(const char*)rows[0] + offset, (const char*)rows[1] + offset,
                      (const char*)rows[2] + offset};
  Filter3x3 filter = {.left = load_weights(b),
                      .middle = load_weights(b + kStepBytes),
                      .right = load_weights(b + 2 * kStepBytes),
                      .sides = load_weights(b + 3 * kStepBytes),
                      .centre = load_weights(b + 4 * kStepBytes),
                      .start = start != NULL ? load_start(start + channel) : zero(),
                      .has_start = start != NULL};
  if (stride == 1) {
    stride_1_3x3(&filter, at, high, columns, bias + channel, acc + channel);
  } else {
    stride_2_3x3(&filter, at, high, columns, bias + channel, acc + channel);
  }
}

static inline __attribute__((always_inline)) void filter_3x3(size_t stride, size_t columns,
                                                             const int16_t* start,
                                                             const void* const* rows, const void* b,
                                                             const int32_t* bias, int32_t* acc) {
  for (size_t group = 0; group < kGroups; ++group) {
    half_3x3(stride, group, false, columns, start, rows, b, bias, acc);
    if (kHalves == 2) half_3x3(stride, group, true, columns, start, rows, b, bias, acc);
  }
}

#endif  // OAQ_CORE_X86_DEPTHWISE_3X3_H_
