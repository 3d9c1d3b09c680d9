// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_GEMM_I16_H_
#define OAQ_CORE_X86_GEMM_I16_H_

#include "core/kernels.h"
#include "core/x86/gemm_steps.h"

// int16 sums by drain list. VPMADDUBSW adds the products of two codes, so the 32 bits of a channel
// are two int16 lanes; drain(sums, lanes) adds both to the channel's int32. store(p, v) and
// multiply(codes, weights), add_lanes(a, b) besides what gemm_steps.h wants.

// The first step of a block: `start` values, where there are some, and no sums yet.
OAQ_INLINE void begin_block(size_t rows, const int16_t* start, bool whole, Reader* reader,
                            Vector lanes[][OAQ_VECTORS]) {
  const size_t stride = reader->stride;
  const Vector first = load(reader->b);
  const Vector last = load(reader->b + kLast * sizeof(Vector));
  for (size_t m = 0; m < rows; ++m) {
    const Vector codes = broadcast(oaq_load_i32(reader->a + m * stride));
    lanes[m][0] = multiply(codes, first);
    if (kLast > 0) lanes[m][kLast] = multiply(codes, last);
  }
  if (start != NULL) {
    const Vector first_values = load(start);
    const Vector last_values = load(start + 2 * kVectorChannels * kLast);
    for (size_t m = 0; m < rows; ++m) {
      lanes[m][0] = add_lanes(lanes[m][0], first_values);
      if (kLast > 0) lanes[m][kLast] = add_lanes(lanes[m][kLast], last_values);
    }
  }
  reader->a += sizeof(int32_t);
  reader->b += OAQ_VECTORS * sizeof(Vector);
  advance(reader, 1, whole);
}

OAQ_INLINE void end_block(size_t rows, const int32_t* from, size_t from_stride,
                          Vector lanes[][OAQ_VECTORS], int32_t* acc) {
  for (size_t m = 0; m < rows; ++m) {
    int32_t* to = acc + m * kChannels;
    const int32_t* sums = from + m * from_stride;
    const Vector first = drain(load(sums), lanes[m][0]);
    if (kLast > 0) {
      const Vector last = load(sums + kLast * kVectorChannels);
      store(to + kLast * kVectorChannels, drain(last, lanes[m][kLast]));
    }
    store(to, first);
  }
}

OAQ_INLINE void multiply_i16(size_t rows, bool whole, size_t calls, const OaqDrains* drains,
                             const OaqRows* a, const int8_t* b, const int32_t* bias, int32_t* acc) {
  const int8_t* codes = a->codes;
  for (; calls > 0; --calls, codes += rows * a->stride, acc += rows * kChannels) {
    Reader reader = read_from(a, codes, b);
    const int16_t* start = drains->start;
    for (size_t block = 0; block < drains->num_blocks; ++block) {
      Vector lanes[OAQ_ROWS][OAQ_VECTORS];
      begin_block(rows, start, whole, &reader, lanes);
      if (start != NULL) start += 2 * kChannels;
      add_steps(rows, drains->blocks[block] - 1, whole, &reader, lanes);
      if (block == 0) {
        end_block(rows, bias, 0, lanes, acc);
      } else {
        end_block(rows, acc, kChannels, lanes, acc);
      }
    }
  }
}

#include "core/gemm_i16_calls.h"

#endif  // OAQ_CORE_X86_GEMM_I16_H_
