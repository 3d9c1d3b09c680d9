// SPDX-License-Identifier: Apache-2.0
// Template: filters of 3 by 3, never drained. Include after the vectors of an ISA and element size.
//
// Five pairs of taps, in the order of oaq_depthwise_order: (0,c) (1,c) for the columns c, then
// (2,0) (2,1), then (2,2) and a zero weight. A column of the input is interleaved once, rows 0 and
// 1 to `upper`, row 2 with the column to the right of it to `lower`, and added to each output that
// is still open; weights stay in registers.
#ifndef OAQ_CORE_X86_DEPTHWISE_3X3_H_
#define OAQ_CORE_X86_DEPTHWISE_3X3_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Filter3x3 {
  Vec left, middle, right, lower_left, lower_right;
  Vec start;
  bool has_start;  // a compile-time constant
} Filter3x3;

// Where an input column is.
typedef struct Rows3x3 {
  const char *rows0, *rows1, *rows2;
} Rows3x3;

static inline __attribute__((always_inline)) Vec upper_3x3(const Rows3x3* at, size_t column,
                                                           bool high) {
  return interleave(at->rows0 + column * kPixel, at->rows1 + column * kPixel, high);
}

static inline __attribute__((always_inline)) Vec lower_3x3(const Rows3x3* at, size_t column,
                                                           bool high) {
  return interleave(at->rows2 + column * kPixel, at->rows2 + (column + 1) * kPixel, high);
}

static inline __attribute__((always_inline)) void move_3x3(Rows3x3* at, size_t columns) {
  at->rows0 += columns * kPixel;
  at->rows1 += columns * kPixel;
  at->rows2 += columns * kPixel;
}

// What an output gets from its first and its last column.
static inline __attribute__((always_inline)) Vec open_3x3(const Filter3x3* filter, Vec upper,
                                                          Vec lower) {
  const Vec sum = add(multiply(upper, filter->left), multiply(lower, filter->lower_left));
  return filter->has_start ? add(sum, filter->start) : sum;
}

static inline __attribute__((always_inline)) Vec close_3x3(const Filter3x3* filter, Vec sum,
                                                           Vec upper, Vec lower) {
  return add(add(sum, multiply(upper, filter->right)), multiply(lower, filter->lower_right));
}

// Two outputs are open at any time, and take turns.
static inline __attribute__((always_inline)) void stride_1_3x3(const Filter3x3* filter, Rows3x3 at,
                                                               bool high, size_t columns,
                                                               const int32_t* bias, int32_t* acc) {
  Vec upper = upper_3x3(&at, 0, high);
  Vec lower = lower_3x3(&at, 0, high);
  Vec even = open_3x3(filter, upper, lower);
  upper = upper_3x3(&at, 1, high);
  lower = lower_3x3(&at, 1, high);
  even = add(even, multiply(upper, filter->middle));
  Vec odd = open_3x3(filter, upper, lower);
  for (;;) {
    upper = upper_3x3(&at, 2, high);
    lower = lower_3x3(&at, 2, high);
    store_sums(close_3x3(filter, even, upper, lower), bias, acc);
    if (columns == 1) return;
    odd = add(odd, multiply(upper, filter->middle));
    even = open_3x3(filter, upper, lower);
    upper = upper_3x3(&at, 3, high);
    lower = lower_3x3(&at, 3, high);
    store_sums(close_3x3(filter, odd, upper, lower), bias, acc + kTile);
    if (columns == 2) return;
    even = add(even, multiply(upper, filter->middle));
    odd = open_3x3(filter, upper, lower);
    move_3x3(&at, 2);
    acc += 2 * kTile;
    columns -= 2;
  }
}

static inline __attribute__((always_inline)) void stride_2_3x3(const Filter3x3* filter, Rows3x3 at,
                                                               bool high, size_t columns,
                                                               const int32_t* bias, int32_t* acc) {
  Vec upper = upper_3x3(&at, 0, high);
  Vec lower = lower_3x3(&at, 0, high);
  for (; columns > 0; --columns) {
    Vec sum = open_3x3(filter, upper, lower);
    sum = add(sum, multiply(upper_3x3(&at, 1, high), filter->middle));
    upper = upper_3x3(&at, 2, high);
    lower = lower_3x3(&at, 2, high);
    store_sums(close_3x3(filter, sum, upper, lower), bias, acc);
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
                      .lower_left = load_weights(b + 3 * kStepBytes),
                      .lower_right = load_weights(b + 4 * kStepBytes),
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
