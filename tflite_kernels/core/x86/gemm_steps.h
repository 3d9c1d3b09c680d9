// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_GEMM_STEPS_H_
#define OAQ_CORE_X86_GEMM_STEPS_H_

#include <stddef.h>
#include <stdint.h>

#include "core/inline.h"
#include "core/kernels.h"
#include "core/row_reader.h"
#include "core/x86/load.h"

// The inner loop of all GEMM kernels for x86, for a file that has said what its registers are:
//
// - Vector: a register of weights, with 32 bits of each output channel, that is four products of
//   codes or two of int16.
// - OAQ_ROWS: rows at once, at most; 4, 6, 8 or 12.
// - OAQ_VECTORS: registers of a tile's channels; 1 or 2.
// - load(p), broadcast(value).
// - multiply_add(sums, codes, weights): what one step adds to the sums of a register's channels.
//
// A row's 32 bits are broadcast to all channels. The number of rows is a constant wherever this is
// inlined, so `sums` is OAQ_VECTORS * rows registers.

// The other register of a tile, or the only one again: gcc 12 keeps sums in memory where a loop
// over a tile's registers is inside one over the rows.
enum { kLast = OAQ_VECTORS - 1 };

OAQ_INLINE void add_straight(size_t rows, size_t steps, Reader* reader,
                             Vector sums[][OAQ_VECTORS]) {
  const int8_t* a = reader->a;
  const int8_t* b = reader->b;
  const size_t stride = reader->stride;
  for (; steps > 0; --steps) {
    const Vector first = load(b);
    const Vector last = load(b + kLast * sizeof(Vector));
    for (size_t m = 0; m < rows; ++m) {
      const Vector codes = broadcast(oaq_load_i32(a + m * stride));
      sums[m][0] = multiply_add(sums[m][0], codes, first);
      if (kLast > 0) sums[m][kLast] = multiply_add(sums[m][kLast], codes, last);
    }
    a += sizeof(int32_t);
    b += OAQ_VECTORS * sizeof(Vector);
  }
  reader->a = a;
  reader->b = b;
}

// `steps` from where the reader is, over the ends of segments.
OAQ_INLINE void add_steps(size_t rows, size_t steps, bool whole, Reader* reader,
                          Vector sums[][OAQ_VECTORS]) {
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

enum {
  kVectorChannels = sizeof(Vector) / sizeof(int32_t),
  kChannels = OAQ_VECTORS * kVectorChannels
};

// OAQ_FOR_COUNTS(define) defines what runs so many rows at once, each a function of its own, which
// leaves the compiler all registers. The most come first.
#if OAQ_ROWS > 8
#define OAQ_FOR_COUNTS(define) define(12) define(8) define(4) define(2) define(1)
#elif OAQ_ROWS > 6
#define OAQ_FOR_COUNTS(define) define(8) define(4) define(2) define(1)
#elif OAQ_ROWS > 4
#define OAQ_FOR_COUNTS(define) define(6) define(4) define(2) define(1)
#else
#define OAQ_FOR_COUNTS(define) define(4) define(2) define(1)
#endif

// From `count` rows to the next, `calls` times.
OAQ_INLINE void skip_rows(size_t count, size_t calls, OaqRows* a, int32_t** acc) {
  a->codes = (const int8_t*)a->codes + count * calls * a->stride;
  *acc += count * calls * kChannels;
}

#endif  // OAQ_CORE_X86_GEMM_STEPS_H_
