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
                            Vector lanes[][2]) {
  const size_t stride = reader->rows->stride;
  const Vector b0 = load(reader->b);
  const Vector b1 = load(reader->b + sizeof(Vector));
  for (size_t m = 0; m < rows; ++m) {
    const Vector codes = broadcast(oaq_load_i32(reader->a + m * stride));
    lanes[m][0] = multiply(codes, b0);
    lanes[m][1] = multiply(codes, b1);
  }
  if (start != NULL) {
    const Vector low = load(start);
    const Vector high = load(start + 2 * kVectorChannels);
    for (size_t m = 0; m < rows; ++m) {
      lanes[m][0] = add_lanes(lanes[m][0], low);
      lanes[m][1] = add_lanes(lanes[m][1], high);
    }
  }
  reader->a += sizeof(int32_t);
  reader->b += 2 * sizeof(Vector);
  advance(reader, 1, whole);
}

OAQ_INLINE void end_block(size_t rows, const int32_t* from, size_t from_stride, Vector lanes[][2],
                          int32_t* acc) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t half = 0; half < 2; ++half) {
      const Vector sums = load(from + m * from_stride + half * kVectorChannels);
      store(acc + m * kChannels + half * kVectorChannels, drain(sums, lanes[m][half]));
    }
  }
}

OAQ_INLINE void multiply_i16(size_t rows, bool whole, const OaqDrains* drains, const OaqRows* a,
                             const int8_t* b, const int32_t* bias, int32_t* acc) {
  Reader reader = read_from(a, b);
  const int16_t* start = drains->start;
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    Vector lanes[OAQ_ROWS][2];
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

OAQ_INLINE void gemm_i16(size_t rows, const OaqDrains* drains, const OaqRows* a, const int8_t* b,
                         const int32_t* bias, int32_t* acc) {
  if (a->num_segments == 1) {
    OAQ_FOR_ROWS(rows, multiply_i16, true, drains, a, b, bias, acc)
  } else {
    OAQ_FOR_ROWS(rows, multiply_i16, false, drains, a, b, bias, acc)
  }
}

#endif  // OAQ_CORE_X86_GEMM_I16_H_
