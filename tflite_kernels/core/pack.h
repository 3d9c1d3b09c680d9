// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_PACK_H_
#define OAQ_CORE_PACK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bound.h"
#include "core/error.h"
#include "core/plan.h"
#include "core/threads.h"

// One tile of output channels, planned.
typedef struct OaqTile {
  bool int16;
  OaqDrains drains;  // of the int16 path
} OaqTile;

// Weights in the order that the micro-kernels read them, with everything that does not depend on
// the input folded into the biases. Channels and products are padded with zero weights.
typedef struct OaqPacked {
  const OaqLayout* layout;
  size_t channels, products, steps, num_tiles;
  int8_t* weights;  // [num_tiles][steps][channels_per_tile][lanes * per_lane]
  OaqTile* tiles;
  int32_t* bias_exact;  // [num_tiles * channels_per_tile]: bias - zero_point * sum(q), modulo 2^32
  int32_t* bias_int16;  // the same less the sum of the start values
} OaqPacked;

// What an op is to decide by, and to run on.
typedef struct OaqPlanner {
  OaqPolicy policy;
  const OaqKernels* kernels;
  OaqThreads* threads;  // NULL: the caller's thread alone; outlives the op
#ifdef OAQ_COUNT_OVERFLOWS
  OaqOverflows* overflows;  // may be NULL; outlives the op
  bool unproven;            // int16 and never drained throughout, against the proof
#endif
} OaqPlanner;

// Packs and plans. `bias` is [weights->channels] (any alignment) or NULL, `zero_point` the input's,
// `range` the input's with the zero point in it where the op pads. Adds to `summary`. On failure
// nothing is left to free.
bool oaq_pack(const OaqWeights* weights, const void* bias, int32_t zero_point, OaqRange range,
              const OaqLayout* layout, const OaqCost* cost, const OaqPlanner* planner,
              OaqPacked* packed, OaqPlanSummary* summary, OaqError* error);

void oaq_packed_free(OaqPacked* packed);

// Weights of tile `tile`.
static inline const int8_t* oaq_packed_tile(const OaqPacked* packed, size_t tile) {
  return packed->weights +
         tile * packed->steps * packed->layout->channels_per_tile * oaq_layout_step(packed->layout);
}

#endif  // OAQ_CORE_PACK_H_
