// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_GEMM_C8_H_
#define OAQ_CORE_NEON_GEMM_C8_H_

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels.h"
#include "core/neon/inline.h"
#include "core/row_reader.h"

// What the GEMM kernels for layout c8 share, in a file that has said OAQ_ROWS: rows at once, at
// most; 4 or 2. A step is 64 bits of each row times 64 bits of each of four channels, so a register
// of eight int16 lanes is one output's.

enum { kLanes = 8, kChannels = 4, kTileStep = kChannels * kLanes };

// Eight codes of each channel.
typedef struct Weights {
  int8x8_t channel[kChannels];
} Weights;

OAQ_INLINE Weights load_weights(const int8_t* b) {
  return (Weights){
      {vld1_s8(b), vld1_s8(b + kLanes), vld1_s8(b + 2 * kLanes), vld1_s8(b + 3 * kLanes)}};
}

// The sums of a row's four outputs.
OAQ_INLINE int32x4_t reduce(const int32x4_t wide[kChannels]) {
#ifdef __aarch64__
  return vpaddq_s32(vpaddq_s32(wide[0], wide[1]), vpaddq_s32(wide[2], wide[3]));
#else
  int32x2_t halves[kChannels];
  for (size_t n = 0; n < kChannels; ++n) {
    halves[n] = vadd_s32(vget_low_s32(wide[n]), vget_high_s32(wide[n]));
  }
  return vcombine_s32(vpadd_s32(halves[0], halves[1]), vpadd_s32(halves[2], halves[3]));
#endif
}

// OAQ_FOR_COUNTS(define) defines what runs so many rows at once, each a function of its own, which
// leaves the compiler all registers. The most come first.
#if OAQ_ROWS > 2
#define OAQ_FOR_COUNTS(define) define(4) define(2) define(1)
#else
#define OAQ_FOR_COUNTS(define) define(2) define(1)
#endif

// From `count` rows to the next, `calls` times.
OAQ_INLINE void skip_rows(size_t count, size_t calls, OaqRows* a, int32_t** acc) {
  a->codes = (const int8_t*)a->codes + count * calls * a->stride;
  *acc += count * calls * kChannels;
}

#endif  // OAQ_CORE_NEON_GEMM_C8_H_
