// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_GEMM_STEPS_H_
#define OAQ_CORE_X86_GEMM_STEPS_H_

#include <stddef.h>
#include <stdint.h>

#include "core/kernels.h"
#include "core/x86/load.h"

// The inner loop of all GEMM kernels for x86, for a file that has said what its registers are:
//
//   Vector        a register of weights, with 32 bits of each output channel: four products of
//   codes
//                 or two of int16
//   OAQ_ROWS      rows of a call, at most: 4, 6 or 8
//   load(p), broadcast(value)
//   multiply_add(sums, codes, weights)   what one step adds to the sums of a register's channels
//
// A row's 32 bits are broadcast to all channels; a tile of weights is two registers wide. The
// number of rows is a constant wherever this is inlined, so `sums` is 2 * rows registers.

#define OAQ_INLINE static inline __attribute__((always_inline))

typedef struct Reader {
  const OaqRows* rows;
  const uint8_t* a;
  const int8_t* b;
  size_t segment, left;  // steps left in the segment
} Reader;

OAQ_INLINE Reader read_from(const OaqRows* rows, const void* b) {
  return (Reader){rows, (const uint8_t*)rows->codes + rows->offsets[0], b, 0, rows->segment_steps};
}

// After so many steps, which end the segment at most: on to the next one. `whole`, a constant:
// there is but one segment, which needs no counting.
OAQ_INLINE void advance(Reader* reader, size_t steps, bool whole) {
  if (whole) return;
  reader->left -= steps;
  if (reader->left == 0 && ++reader->segment < reader->rows->num_segments) {
    reader->left = reader->rows->segment_steps;
    reader->a = (const uint8_t*)reader->rows->codes + reader->rows->offsets[reader->segment];
  }
}

OAQ_INLINE void add_straight(size_t rows, size_t steps, Reader* reader, Vector sums[][2]) {
  const uint8_t* a = reader->a;
  const int8_t* b = reader->b;
  const size_t stride = reader->rows->stride;
  for (; steps > 0; --steps) {
    const Vector b0 = load(b);
    const Vector b1 = load(b + sizeof(Vector));
    for (size_t m = 0; m < rows; ++m) {
      const Vector codes = broadcast(oaq_load_i32(a + m * stride));
      sums[m][0] = multiply_add(sums[m][0], codes, b0);
      sums[m][1] = multiply_add(sums[m][1], codes, b1);
    }
    a += sizeof(int32_t);
    b += 2 * sizeof(Vector);
  }
  reader->a = a;
  reader->b = b;
}

// `steps` from where the reader is, over the ends of segments.
OAQ_INLINE void add_steps(size_t rows, size_t steps, bool whole, Reader* reader, Vector sums[][2]) {
  if (whole) {
    add_straight(rows, steps, reader, sums);
    return;
  }
  while (steps > 0) {
    const size_t straight = steps < reader->left ? steps : reader->left;
    add_straight(rows, straight, reader, sums);
    steps -= straight;
    advance(reader, straight, false);
  }
}

enum { kVectorChannels = sizeof(Vector) / sizeof(int32_t), kChannels = 2 * kVectorChannels };

// Calls function(rows, ...) with a constant.
#define OAQ_CASE(count, function, ...) \
  case count:                          \
    function(count, __VA_ARGS__);      \
    break;
#if OAQ_ROWS > 4
#define OAQ_CASES_TO_6(function, ...) \
  OAQ_CASE(4, function, __VA_ARGS__)  \
  OAQ_CASE(5, function, __VA_ARGS__)
#else
#define OAQ_CASES_TO_6(function, ...)
#endif
#if OAQ_ROWS > 6
#define OAQ_CASES_TO_8(function, ...) \
  OAQ_CASE(6, function, __VA_ARGS__)  \
  OAQ_CASE(7, function, __VA_ARGS__)
#else
#define OAQ_CASES_TO_8(function, ...)
#endif
#define OAQ_FOR_ROWS(rows, function, ...) \
  switch (rows) {                         \
    OAQ_CASE(1, function, __VA_ARGS__)    \
    OAQ_CASE(2, function, __VA_ARGS__)    \
    OAQ_CASE(3, function, __VA_ARGS__)    \
    OAQ_CASES_TO_6(function, __VA_ARGS__) \
    OAQ_CASES_TO_8(function, __VA_ARGS__) \
    default:                              \
      function(OAQ_ROWS, __VA_ARGS__);    \
      break;                              \
  }

#endif  // OAQ_CORE_X86_GEMM_STEPS_H_
