// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_KERNELS_H_
#define OAQ_CORE_KERNELS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/layout.h"
#include "core/output_stage.h"
#include "core/overflows.h"

// The micro-kernels' families: one signature each, one file an ISA and variant.
//
// Packed weights b: [steps][channels of a tile][lanes * per_lane]. int16 lanes wrap modulo 2^16;
// whoever made the drain list proved that what they hold at a drain is the true value. acc receives
// sums of products and what `bias` holds, nothing else: no zero points.

enum { OAQ_MAX_GEMM_ROWS = 8, OAQ_DEPTHWISE_CHANNELS = 16 };

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

// Rows of activations, int8 or, of a shifted family, uint8. A row's products lie in segments of
// whole steps: one, padded, where they were gathered, or as many as a filter has rows where an
// image is read as it lies.
typedef struct OaqRows {
  const void* codes;      // of the first row
  size_t stride;          // from row to row, in bytes
  const size_t* offsets;  // [num_segments] of a row's segments, in bytes
  size_t num_segments, segment_steps;
} OaqRows;

// acc[m][n] = bias[n] + sum_k a[m][k] * b[n][k] (+ start values) for m < rows and all n of a tile.
typedef void (*OaqGemmI16)(size_t rows, const OaqDrains* drains, const OaqRows* a, const int8_t* b,
                           const int32_t* bias, int32_t* acc);

// The same, exact for any codes; a wide family's a and b are int16, b [pairs][channels of a
// tile][2], and its steps are pairs.
typedef void (*OaqGemmI32)(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                           int32_t* acc);

// acc[c] = sum_t a[t][offset + c] * b[t][c] (+ start values) for all OAQ_DEPTHWISE_CHANNELS
// channels; a holds a pointer to the input's channels for each tap.
typedef void (*OaqDepthwiseI16)(const OaqDrains* drains, const int8_t* const* a, size_t offset,
                                const int8_t* b, int32_t* acc);

// The same, exact for any codes.
typedef void (*OaqDepthwiseI32)(size_t taps, const int8_t* const* a, size_t offset, const int8_t* b,
                                int32_t* acc);

// What a tile costs, in any one unit of time: int16_step a step and int16_drain a drain on the
// int16 path, exact_step a step of the same length on the exact one.
typedef struct OaqCost {
  float int16_step, int16_drain, exact_step;
} OaqCost;

// Rows of activations times a tile of weights.
typedef struct OaqGemm {
  const OaqLayout* layout;
  size_t rows;      // of one call, at most
  bool shifted;     // activations are uint8, the codes less the least of their range
  bool exact_wide;  // the exact kernel takes int16
  OaqGemmI16 i16;   // NULL where it would not pay on any CPU that has the ISA
  OaqGemmI32 i32;
  OaqCost cost;
} OaqGemm;

// The kernels of one ISA.
typedef struct OaqKernels {
  const char* isa;
  // [num_gemms], wider tiles first; an op of few output channels takes a narrower one.
  const OaqGemm* gemms;
  size_t num_gemms;
  const OaqLayout* depthwise_layout;
  OaqDepthwiseI16 depthwise_i16;
  OaqDepthwiseI32 depthwise_i32;
  OaqCost depthwise_cost;
  OaqOutput output;
} OaqKernels;

// The family for an op of `channels` output channels, of a group.
const OaqGemm* oaq_kernels_gemm(const OaqKernels* kernels, size_t channels);

extern const OaqKernels oaq_kernels_scalar;

// Names of all kernels that there are for any CPU, the best for each last.
extern const char* const oaq_isas[];
extern const size_t oaq_num_isas;

// "auto" gives the best kernels for this CPU; NULL for a name that is unknown or that this build or
// CPU does not have.
const OaqKernels* oaq_kernels_find(const char* isa);

#endif  // OAQ_CORE_KERNELS_H_
