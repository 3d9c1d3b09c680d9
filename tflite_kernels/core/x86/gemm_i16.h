// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_GEMM_I16_H_
#define OAQ_CORE_X86_GEMM_I16_H_

#include "core/kernels.h"
#include "core/x86/gemm_steps.h"

// int16 sums by drain list. VPMADDUBSW adds the products of two codes, so the 32 bits of a channel
// are two int16 lanes; drain(sums, lanes) adds both to the channel's int32. store(p, v) besides
// what gemm_steps.h wants.

OAQ_INLINE void multiply_i16(size_t rows, const OaqDrains* drains, const OaqRows* a,
                             const int8_t* b, const int32_t* bias, int32_t* acc) {
  Reader reader = read_from(a, b);
  const int16_t* start = drains->start;
  for (size_t block = 0; block < drains->num_blocks; ++block) {
    Vector low = zero();
    Vector high = zero();
    if (start != NULL) {
      low = load(start);
      high = load(start + 2 * kVectorChannels);
      start += 2 * kChannels;
    }
    Vector lanes[OAQ_ROWS][2];
    for (size_t m = 0; m < rows; ++m) {
      lanes[m][0] = low;
      lanes[m][1] = high;
    }
    add_steps(rows, drains->blocks[block], &reader, lanes);
    for (size_t m = 0; m < rows; ++m) {
      for (size_t half = 0; half < 2; ++half) {
        int32_t* sums = acc + m * kChannels + half * kVectorChannels;
        const int32_t* from = block == 0 ? bias + half * kVectorChannels : sums;
        store(sums, drain(load(from), lanes[m][half]));
      }
    }
  }
}

OAQ_INLINE void gemm_i16(size_t rows, const OaqDrains* drains, const OaqRows* a, const int8_t* b,
                         const int32_t* bias, int32_t* acc) {
  OAQ_FOR_ROWS(rows, multiply_i16, drains, a, b, bias, acc)
}

#endif  // OAQ_CORE_X86_GEMM_I16_H_
