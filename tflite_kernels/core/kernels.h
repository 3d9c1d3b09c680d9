// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_KERNELS_H_
#define OAQ_CORE_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "core/layout.h"
#include "core/overflows.h"

// The micro-kernels' families: one signature each, one file an ISA and variant.
//
// Packed weights b: [steps][channels of a tile][lanes]. int16 lanes wrap modulo 2^16; whoever made
// the drain list proved that what they hold at a drain is the true value. acc receives raw sums: no
// bias, no zero points.

enum { OAQ_GEMM_ROWS = 4, OAQ_GEMM_CHANNELS = 4, OAQ_GEMM_LANES = 8, OAQ_DEPTHWISE_CHANNELS = 16 };

// When a tile's lanes are drained, and what they start from.
typedef struct OaqDrains {
  uint32_t* blocks;  // the drain list: lengths in steps, whose sum is the number of steps
  size_t num_blocks;
  int16_t* start;  // [num_blocks][channels of a tile][lanes], NULL where zero is safe throughout
#ifdef OAQ_COUNT_OVERFLOWS
  int64_t* true_start;  // `start` before it was cut to 16 bits
  OaqOverflows* overflows;
#endif
} OaqDrains;

// acc[m][n] = sum_k a[m][k] * b[n][k] (+ start values) for m < rows <= OAQ_GEMM_ROWS;
// a is [steps][OAQ_GEMM_ROWS][OAQ_GEMM_LANES], acc [OAQ_GEMM_ROWS][OAQ_GEMM_CHANNELS].
typedef void (*OaqGemmI16)(size_t rows, const OaqDrains* drains, const int8_t* a, const int8_t* b,
                           int32_t* acc);

// The same, exact for any codes.
typedef void (*OaqGemmI32)(size_t rows, size_t steps, const int8_t* a, const int8_t* b,
                           int32_t* acc);

// acc[c] = sum_t a[t][offset + c] * b[t][c] (+ start values) for all OAQ_DEPTHWISE_CHANNELS
// channels; a holds a pointer to the input's channels for each tap.
typedef void (*OaqDepthwiseI16)(const OaqDrains* drains, const int8_t* const* a, size_t offset,
                                const int8_t* b, int32_t* acc);

// The same, exact for any codes.
typedef void (*OaqDepthwiseI32)(size_t taps, const int8_t* const* a, size_t offset, const int8_t* b,
                                int32_t* acc);

// What a tile costs, in any one unit of time: int16_step a step and int16_drain a drain on the
// int16 path, exact_step a step on the exact one.
typedef struct OaqCost {
  float int16_step, int16_drain, exact_step;
} OaqCost;

// The kernels of one ISA.
typedef struct OaqKernels {
  const char* isa;
  const OaqLayout* gemm_layout;
  const OaqLayout* depthwise_layout;
  OaqGemmI16 gemm_i16;
  OaqGemmI32 gemm_i32;
  OaqDepthwiseI16 depthwise_i16;
  OaqDepthwiseI32 depthwise_i32;
  OaqCost gemm_cost, depthwise_cost;
} OaqKernels;

extern const OaqKernels oaq_kernels_scalar;

// "auto" gives the best kernels for this CPU; NULL for a name that is unknown or that this build or
// CPU does not have.
const OaqKernels* oaq_kernels_find(const char* isa);

#endif  // OAQ_CORE_KERNELS_H_
