// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_PACK_H_
#define OAQ_CORE_PACK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bound.h"
#include "core/error.h"
#include "core/plan.h"
#include "core/scratch.h"
#include "core/threads.h"

// One tile of output channels, planned.
typedef struct OaqTile {
  bool int16;
  bool wide;            // exact, on int16 weights
  bool paired;          // for OaqGemm's i32_pairs
  const void* weights;  // in OaqPacked.weights, as the tile's kernel reads them
  OaqDrains drains;     // of the int16 path
} OaqTile;

// Weights in the order that the micro-kernels read them, with everything that does not depend on
// the input folded into the biases. Channels and products are padded with zero weights.
typedef struct OaqPacked {
  const OaqLayout* layout;
  size_t channels, products, steps, num_tiles;
  int32_t shift;        // kernels see activation codes less this
  bool any_wide;        // tiles
  void* weights;        // for each tile [steps][channels_per_tile][lanes * per_lane], int8 or int16
  size_t weights_size;  // in bytes
  OaqTile* tiles;
  // [num_tiles * channels_per_tile]: bias - (zero_point - shift) * sum(q), modulo 2^32. For the
  // int16 path less the sum of the start values; the same array unless the planner has any_codes,
  // for a tile then takes one path.
  int32_t* bias_exact;
  int32_t* bias_int16;
} OaqPacked;

// What an op is to decide by, and to run on.
typedef struct OaqPlanner {
  OaqPolicy policy;
  const OaqKernels* kernels;
  OaqThreads* threads;  // NULL: the caller's thread alone; outlives the op
  OaqScratch* scratch;  // of ops that never run at the same time; outlives them
  bool any_codes;       // the op may be run on codes outside its input's range
#ifdef OAQ_COUNT_OVERFLOWS
  OaqOverflows* overflows;  // may be NULL; outlives the op
  bool unproven;            // int16 and never drained throughout, against the proof
#endif
} OaqPlanner;

// What the weights are packed for.
typedef struct OaqPacking {
  const OaqLayout* layout;
  const OaqCost* cost;
  float exact_end;  // as OaqGemm has it
  bool int16;       // there is an int16 kernel
  bool shifted;     // as OaqGemm has them
  bool i16_wide, exact_wide;
  bool exact_pairs;  // there is an i32_pairs
} OaqPacking;

OaqPacking oaq_gemm_packing(const OaqGemm* gemm);

// Packs and plans. `bias` is [weights->channels] (any alignment) or NULL, `zero_point` the input's,
// `range` the input's with the zero point in it where the op pads. Adds to `summary`. On failure
// nothing is left to free.
bool oaq_pack(const OaqWeights* weights, const void* bias, int32_t zero_point, OaqRange range,
              const OaqPacking* packing, const OaqPlanner* planner, OaqPacked* packed,
              OaqPlanSummary* summary, OaqError* error);

void oaq_packed_free(OaqPacked* packed);

// What it has allocated.
size_t oaq_packed_bytes(const OaqPacked* packed);

// The codes of `layout->channels_per_tile` channels from `first_channel` as
// [steps][channels][lanes * per_lane].
void oaq_pack_tile(const OaqWeights* weights, const OaqLayout* layout, size_t first_channel,
                   int8_t* out);

#endif  // OAQ_CORE_PACK_H_
