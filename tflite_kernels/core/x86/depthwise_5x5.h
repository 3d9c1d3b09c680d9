// SPDX-License-Identifier: Apache-2.0
// Template: filters of 5 by 5, never drained. Include after the vectors of an ISA and element size.
//
// Thirteen pairs of taps, in the order of oaq_depthwise_order: (0,c) (4,c) for the columns c, then
// (1,c) (3,c), then (2,0) (2,4), (2,1) (2,3), and (2,2) with a zero weight. A column of the input's
// rows but 2 is interleaved once and added to each output that is still open. There are more
// weights than registers: multiplications read them where they are packed.
#ifndef OAQ_CORE_X86_DEPTHWISE_5X5_H_
#define OAQ_CORE_X86_DEPTHWISE_5X5_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Filter5x5 {
  const char* weights;
  const int16_t* start;  // whether it is NULL is a compile-time constant
} Filter5x5;

// Where an input column is.
typedef struct Rows5x5 {
  const char *rows0, *rows1, *rows2, *rows3, *rows4;
} Rows5x5;

// An input column: rows 0 and 4, rows 1 and 3.
typedef struct Column5x5 {
  Vec outer, inner;
} Column5x5;

static inline __attribute__((always_inline)) Column5x5 column_5x5(const Rows5x5* at, size_t column,
                                                                  bool high) {
  const size_t offset = column * kPixel;
  return (Column5x5){
      interleave(at->rows0 + offset, at->rows4 + offset, high),
      interleave(at->rows1 + offset, at->rows3 + offset, high),
  };
}

static inline __attribute__((always_inline)) void move_5x5(Rows5x5* at, size_t columns) {
  at->rows0 += columns * kPixel;
  at->rows1 += columns * kPixel;
  at->rows2 += columns * kPixel;
  at->rows3 += columns * kPixel;
  at->rows4 += columns * kPixel;
}

// Ends one sum's part of a column: compilers would begin all of them at once, and spill.
static inline __attribute__((always_inline)) Vec finish(Vec sum) {
  __asm__ volatile("" : "+v"(sum) : : "memory");
  return sum;
}

// The products of the input column that is column `tap` of an output's filter.
static inline __attribute__((always_inline)) Vec products_5x5(const Filter5x5* filter, size_t tap,
                                                              const Column5x5* column) {
  const Vec outer = multiply(column->outer, load_weights(filter->weights + tap * kStepBytes));
  const Vec inner = multiply(column->inner, load_weights(filter->weights + (5 + tap) * kStepBytes));
  return add(outer, inner);
}

// Columns `left` and `right` of row 2, times the weights of a step.
static inline __attribute__((always_inline)) Vec row_2_5x5(const Filter5x5* filter,
                                                           const char* first, size_t left,
                                                           size_t right, size_t step, bool high) {
  const Vec pair = interleave(first + left * kPixel, first + right * kPixel, high);
  return multiply(pair, load_weights(filter->weights + step * kStepBytes));
}

// What an output gets from its first column, `index` from `at` on, and from all of row 2.
static inline __attribute__((always_inline)) Vec open_5x5(const Filter5x5* filter,
                                                          const Rows5x5* at, size_t index,
                                                          bool high, const Column5x5* column) {
  const char* first = at->rows2 + index * kPixel;
  Vec sum = products_5x5(filter, 0, column);
  sum = add(sum, row_2_5x5(filter, first, 0, 4, 10, high));
  sum = add(sum, row_2_5x5(filter, first, 1, 3, 11, high));
  sum = add(sum, row_2_5x5(filter, first, 2, 2, 12, high));
  return finish(filter->start != NULL ? add(sum, load_start(filter->start)) : sum);
}

static inline __attribute__((always_inline)) void add_5x5(const Filter5x5* filter, size_t tap,
                                                          const Column5x5* column, Vec* sum) {
  *sum = finish(add(*sum, products_5x5(filter, tap, column)));
}

// Input column `at`: the last one of *first, the first one of the output that takes its place.
static inline __attribute__((always_inline)) void stride_1_column_5x5(
    const Filter5x5* filter, const Rows5x5* at, size_t index, bool high, Vec* first, Vec* second,
    Vec* third, Vec* fourth, const int32_t* bias, int32_t* acc) {
  const Column5x5 column = column_5x5(at, index, high);
  add_5x5(filter, 4, &column, first);
  store_sums(*first, bias, acc);
  add_5x5(filter, 3, &column, second);
  add_5x5(filter, 2, &column, third);
  add_5x5(filter, 1, &column, fourth);
  *first = open_5x5(filter, at, index, high, &column);
}

// Four outputs are open at any time, and take turns.
static inline __attribute__((always_inline)) void stride_1_5x5(const Filter5x5* filter, Rows5x5 at,
                                                               bool high, size_t columns,
                                                               const int32_t* bias, int32_t* acc) {
  Column5x5 column = column_5x5(&at, 0, high);
  Vec a = open_5x5(filter, &at, 0, high, &column);
  column = column_5x5(&at, 1, high);
  add_5x5(filter, 1, &column, &a);
  Vec b = open_5x5(filter, &at, 1, high, &column);
  column = column_5x5(&at, 2, high);
  add_5x5(filter, 2, &column, &a);
  add_5x5(filter, 1, &column, &b);
  Vec c = open_5x5(filter, &at, 2, high, &column);
  column = column_5x5(&at, 3, high);
  add_5x5(filter, 3, &column, &a);
  add_5x5(filter, 2, &column, &b);
  add_5x5(filter, 1, &column, &c);
  Vec d = open_5x5(filter, &at, 3, high, &column);
  move_5x5(&at, 4);
  for (;;) {
    stride_1_column_5x5(filter, &at, 0, high, &a, &b, &c, &d, bias, acc);
    if (columns == 1) return;
    stride_1_column_5x5(filter, &at, 1, high, &b, &c, &d, &a, bias, acc + kTile);
    if (columns == 2) return;
    stride_1_column_5x5(filter, &at, 2, high, &c, &d, &a, &b, bias, acc + 2 * kTile);
    if (columns == 3) return;
    stride_1_column_5x5(filter, &at, 3, high, &d, &a, &b, &c, bias, acc + 3 * kTile);
    if (columns == 4) return;
    move_5x5(&at, 4);
    acc += 4 * kTile;
    columns -= 4;
  }
}

// The same for two columns of the input, as outputs are two apart.
static inline __attribute__((always_inline)) void stride_2_column_5x5(
    const Filter5x5* filter, const Rows5x5* at, size_t index, bool high, Vec* first, Vec* second,
    const int32_t* bias, int32_t* acc) {
  Column5x5 column = column_5x5(at, index, high);
  add_5x5(filter, 4, &column, first);
  store_sums(*first, bias, acc);
  add_5x5(filter, 2, &column, second);
  *first = open_5x5(filter, at, index, high, &column);
  column = column_5x5(at, index + 1, high);
  add_5x5(filter, 3, &column, second);
  add_5x5(filter, 1, &column, first);
}

static inline __attribute__((always_inline)) void stride_2_5x5(const Filter5x5* filter, Rows5x5 at,
                                                               bool high, size_t columns,
                                                               const int32_t* bias, int32_t* acc) {
  Column5x5 column = column_5x5(&at, 0, high);
  Vec even = open_5x5(filter, &at, 0, high, &column);
  column = column_5x5(&at, 1, high);
  add_5x5(filter, 1, &column, &even);
  column = column_5x5(&at, 2, high);
  add_5x5(filter, 2, &column, &even);
  Vec odd = open_5x5(filter, &at, 2, high, &column);
  column = column_5x5(&at, 3, high);
  add_5x5(filter, 3, &column, &even);
  add_5x5(filter, 1, &column, &odd);
  move_5x5(&at, 4);
  for (;;) {
    stride_2_column_5x5(filter, &at, 0, high, &even, &odd, bias, acc);
    if (columns == 1) return;
    stride_2_column_5x5(filter, &at, 2, high, &odd, &even, bias, acc + kTile);
    if (columns == 2) return;
    move_5x5(&at, 4);
    acc += 2 * kTile;
    columns -= 2;
  }
}

static inline __attribute__((always_inline)) void half_5x5(size_t stride, size_t group, bool high,
                                                           size_t columns, const int16_t* start,
                                                           const void* const* rows, const char* b,
                                                           const int32_t* bias, int32_t* acc) {
  const size_t channel = (group * kHalves + (high ? 1 : 0)) * kLanes;
  const size_t offset = group * sizeof(Vec);
  const Rows5x5 at = {(const char*)rows[0] + offset, (const char*)rows[1] + offset,
                      (const char*)rows[2] + offset, (const char*)rows[3] + offset,
                      (const char*)rows[4] + offset};
  const Filter5x5 filter = {b + channel * (kStepBytes / kTile),
                            start != NULL ? start + channel : NULL};
  if (stride == 1) {
    stride_1_5x5(&filter, at, high, columns, bias + channel, acc + channel);
  } else {
    stride_2_5x5(&filter, at, high, columns, bias + channel, acc + channel);
  }
}

static inline __attribute__((always_inline)) void filter_5x5(size_t stride, size_t columns,
                                                             const int16_t* start,
                                                             const void* const* rows, const void* b,
                                                             const int32_t* bias, int32_t* acc) {
  for (size_t group = 0; group < kGroups; ++group) {
    half_5x5(stride, group, false, columns, start, rows, b, bias, acc);
    if (kHalves == 2) half_5x5(stride, group, true, columns, start, rows, b, bias, acc);
  }
}

#endif  // OAQ_CORE_X86_DEPTHWISE_5X5_H_
