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

// When a tile's lanes are drained, and what they start from.
typedef struct OaqDrains {
  uint32_t* blocks;  // the drain list: lengths in steps, whose sum is the number of steps
  size_t num_blocks;
  // The same for layouts of eight steps at once: bit k of byte g says that a block starts at step
  // 8 g + k. NULL for the others.
  uint8_t* first_steps;
  int16_t* start;  // [num_blocks][channels of a tile][lanes], NULL where zero is safe throughout
  // A channel's lanes of any block may be added in 16 bits so often, neighbours in pairs: sums of
  // 2^levels of them fit, start values and all.
  uint32_t levels;
  uint32_t last_levels;  // the same of the last block, which is often shorter
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

// The same and the output stage at once, where it is plain for the tile's channels
// (core/output_stage.h): out[m * out_stride + n] = code of the sum, whose channel is `channel` + n
// of the stage's.
typedef void (*OaqGemmI16Codes)(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                const int8_t* b, const int32_t* bias, const OaqOutputStage* stage,
                                size_t channel, int8_t* out, size_t out_stride);

// OaqGemmI16's sums, exact for any codes; a wide family's a and b are int16, b [pairs][channels of
// a tile][2], and its steps are pairs.
typedef void (*OaqGemmI32)(size_t rows, const OaqRows* a, const void* b, const int32_t* bias,
                           int32_t* acc);

// What a tile costs, in any one unit of time: int16_step a step and int16_drain a drain on the
// int16 path, exact_step a step of the same length on the exact one.
typedef struct OaqCost {
  float int16_step, int16_drain, exact_step;
} OaqCost;

// Rows of activations times a tile of weights.
typedef struct OaqGemm {
  const OaqLayout* layout;
  size_t rows;                // at once: calls of multiples of it are the fastest
  bool shifted;               // activations are uint8, the codes less the least of their range
  bool i16_wide;              // the int16 kernel takes int16 weights, [steps][channels of a tile]
  bool exact_wide;            // the exact kernel takes int16
  OaqGemmI16 i16;             // NULL where it would not pay on any CPU that has the ISA
  OaqGemmI16Codes i16_codes;  // NULL where there is none
  OaqGemmI32 i32;
  // The same and faster, for tiles whose neighbouring steps fit 16 bits together (core/bound.h), or
  // NULL.
  OaqGemmI32 i32_pairs;
  OaqCost cost;
  // What a call of all rows takes beside steps and drains, with the output stage: int16 sums, and
  // how much more exact ones.
  float int16_end, exact_end;
  // The family of the same layout, rows and packing that suits the core that runs this thread just
  // now; NULL where this one does, on any.
  const struct OaqGemm* (*of_this_core)(void);
} OaqGemm;

// DEPTHWISE_CONV_2D: columns of one output row, of one tile of channels. The input's rows under the
// filter are copied first, a tile's channels together, padding included, so that kernels know
// neither borders nor strides between pixels.

// Writes `columns` pixels to `out` in a form's way; reads a tile's codes for each, `stride` apart.
typedef void (*OaqDepthwiseCopy)(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                                 void* out);

// How a pixel's channels of one tile lie in a copied row; `pixel` in bytes.
typedef struct OaqDepthwiseForm {
  size_t pixel;
  OaqDepthwiseCopy copy;
} OaqDepthwiseForm;

// acc[n][c] = bias[c] + sum_t a(n, t)[c] * b[t][c] (+ start values) for n < columns and all c of a
// tile; a(n, t) is the pixel at taps[t] + n * column_stride, taps in the order of
// oaq_depthwise_order. The pixel behind the last one of each row may be read as well.
typedef void (*OaqDepthwiseI16)(size_t columns, const OaqDrains* drains, const void* const* taps,
                                size_t column_stride, const int8_t* b, const int32_t* bias,
                                int32_t* acc);

// The same and the output stage at once, as OaqGemmI16Codes has it.
typedef void (*OaqDepthwiseI16Codes)(size_t columns, const OaqDrains* drains,
                                     const void* const* taps, size_t column_stride, const int8_t* b,
                                     const int32_t* bias, const OaqOutputStage* stage,
                                     size_t channel, int8_t* out, size_t out_stride);

// OaqDepthwiseI16's sums, exact for any codes; a wide family's b is int16.
typedef void (*OaqDepthwiseI32)(size_t columns, size_t steps, const void* const* taps,
                                size_t column_stride, const void* b, const int32_t* bias,
                                int32_t* acc);

// Kernels for one shape of filter whose columns are next to each other. In place of taps they take
// the filter's rows: where the first output's first column is in each of them.
typedef struct OaqDepthwiseFilter {
  int32_t height, width, stride;  // the stride from output column to output column
  OaqDepthwiseI16 i16;            // for tiles that are never drained: drains->num_blocks is 1
  OaqDepthwiseI32 i32;            // of a family with i32_pairs, for the tiles that may run on that
  OaqCost cost;
  OaqDepthwiseI16Codes i16_codes;  // as i16; NULL where there is none
} OaqDepthwiseFilter;

enum { OAQ_DEPTHWISE_COLUMNS = 64 };  // of one call, at most

typedef struct OaqDepthwise {
  const OaqLayout* layout;  // one lane a channel
  bool shifted;             // as OaqGemm has them
  bool exact_wide;
  OaqDepthwiseForm form;           // of what the int16 kernels read, and the exact ones unless wide
  OaqDepthwiseForm wide_form;      // int16 pixels for wide exact kernels
  OaqDepthwiseI16 i16;             // any filter
  OaqDepthwiseI32 i32, i32_pairs;  // as OaqGemm has them
  OaqCost cost;
  const OaqDepthwiseFilter* filters;
  size_t num_filters;
} OaqDepthwise;

// out[i] = bytes[in[i]], of 256 bytes; `out` may be `in`, but not overlap it otherwise.
typedef void (*OaqLookUp)(const uint8_t* bytes, size_t count, const uint8_t* in, uint8_t* out);

// The kernels of one ISA.
typedef struct OaqKernels {
  const char* isa;
  size_t part_macs;  // take as long as handing a part to another thread does
  // [num_gemms], wider tiles first; an op of few output channels takes a narrower one.
  const OaqGemm* gemms;
  size_t num_gemms;
  const OaqGemm* broadcast;  // int16 for any op that it costs less; NULL where there is none
  const OaqDepthwise* depthwise;
  OaqOutput output;
  OaqLookUp look_up;  // NULL where it would be no faster than the plain loop of core/code_table.c
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
