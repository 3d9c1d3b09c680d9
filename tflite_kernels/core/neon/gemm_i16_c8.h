// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_GEMM_I16_C8_H_
#define OAQ_CORE_NEON_GEMM_I16_C8_H_

#include "core/neon/gemm_c8.h"

// int16 lanes by drain list. A row's int32 sums stay in one register from block to block.

// The first step of a block: `start` values, where there are some, and no sums yet.
OAQ_INLINE void begin_block(size_t rows, const int16_t* start, bool whole, Reader* reader,
                            int16x8_t lanes[][kChannels]) {
  const Weights weights = load_weights(reader->b);
  for (size_t m = 0; m < rows; ++m) {
    const int8x8_t codes = vld1_s8(reader->a + m * reader->stride);
    for (size_t n = 0; n < kChannels; ++n) {
      lanes[m][n] = start == NULL
                        ? vmull_s8(codes, weights.channel[n])
                        : vmlal_s8(vld1q_s16(start + n * kLanes), codes, weights.channel[n]);
    }
  }
  reader->a += kLanes;
  reader->b += kTileStep;
  advance(reader, 1, whole);
}

#ifndef __aarch64__
// Two steps with loads of 128 bits, which take fewer instructions; on 64-bit ARM compilers find as
// good ones themselves.
OAQ_INLINE void add_two_steps(size_t rows, const int8_t* a, size_t stride, const int8_t* b,
                              int16x8_t lanes[][kChannels]) {
  int8x16_t codes[OAQ_ROWS];
  for (size_t m = 0; m < rows; ++m) codes[m] = vld1q_s8(a + m * stride);
  OAQ_UNROLL
  for (size_t half = 0; half < 2; ++half) {
    OAQ_UNROLL
    for (size_t n = 0; n < kChannels; n += 2) {
      const int8x16_t weights = vld1q_s8(b + half * kTileStep + n * kLanes);
      for (size_t m = 0; m < rows; ++m) {
        const int8x8_t step = half == 0 ? vget_low_s8(codes[m]) : vget_high_s8(codes[m]);
        lanes[m][n] = vmlal_s8(lanes[m][n], step, vget_low_s8(weights));
        lanes[m][n + 1] = vmlal_s8(lanes[m][n + 1], step, vget_high_s8(weights));
      }
    }
  }
}
#endif

OAQ_INLINE void add_straight(size_t rows, size_t steps, Reader* reader,
                             int16x8_t lanes[][kChannels]) {
  const int8_t* a = reader->a;
  const int8_t* b = reader->b;
  const size_t stride = reader->stride;
#ifndef __aarch64__
  for (; steps >= 2; steps -= 2, a += 2 * kLanes, b += 2 * kTileStep) {
    add_two_steps(rows, a, stride, b, lanes);
  }
#endif
  for (; steps > 0; --steps) {
    const Weights weights = load_weights(b);
    for (size_t m = 0; m < rows; ++m) {
      const int8x8_t codes = vld1_s8(a + m * stride);
      for (size_t n = 0; n < kChannels; ++n) {
        lanes[m][n] = vmlal_s8(lanes[m][n], codes, weights.channel[n]);
      }
    }
    a += kLanes;
    b += kTileStep;
  }
  reader->a = a;
  reader->b = b;
}

// `steps` from where the reader is, over the ends of segments.
OAQ_INLINE void add_steps(size_t rows, size_t steps, bool whole, Reader* reader,
                          int16x8_t lanes[][kChannels]) {
  if (whole) {
    add_straight(rows, steps, reader, lanes);
    return;
  }
  while (steps > 0) {
    const size_t straight = steps < reader->left ? steps : reader->left;
    add_straight(rows, straight, reader, lanes);
    steps -= straight;
    advance(reader, straight, false);
  }
}

OAQ_INLINE int32x4_t drain(int32x4_t sums, const int16x8_t lanes[kChannels]) {
  int32x4_t wide[kChannels];
  for (size_t n = 0; n < kChannels; ++n) wide[n] = vpaddlq_s16(lanes[n]);
  return add_modulo(sums, reduce(wide));
}

OAQ_INLINE void multiply_i16(size_t rows, bool whole, size_t calls, const OaqDrains* drains,
                             const OaqRows* a, const int8_t* b, const int32_t* bias, int32_t* acc) {
  const int8_t* codes = a->codes;
  for (; calls > 0; --calls, codes += rows * a->stride, acc += rows * kChannels) {
    Reader reader = read_from(a, codes, b);
    const int16_t* start = drains->start;
    int32x4_t sums[OAQ_ROWS];
    for (size_t m = 0; m < rows; ++m) sums[m] = vld1q_s32(bias);
    for (size_t block = 0; block < drains->num_blocks; ++block) {
      int16x8_t lanes[OAQ_ROWS][kChannels];
      begin_block(rows, start, whole, &reader, lanes);
      if (start != NULL) start += kTileStep;
      add_steps(rows, drains->blocks[block] - 1, whole, &reader, lanes);
      for (size_t m = 0; m < rows; ++m) sums[m] = drain(sums[m], lanes[m]);
    }
    for (size_t m = 0; m < rows; ++m) vst1q_s32(acc + m * kChannels, sums[m]);
  }
}

#include "core/gemm_i16_calls.h"

#endif  // OAQ_CORE_NEON_GEMM_I16_C8_H_
