// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_PLAN_H_
#define OAQ_CORE_PLAN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels.h"

// Which path a tile takes.
typedef enum OaqPolicy {
  OAQ_POLICY_AUTO,   // the cheaper one by the ISA's cost table
  OAQ_POLICY_INT16,  // int16 wherever it is proven
  OAQ_POLICY_EXACT,  // never int16
} OaqPolicy;

// What was decided, over all tiles of an op.
typedef struct OaqPlanSummary {
  size_t tiles, tiles_int16;
  size_t tiles_saturating;  // exact since a pair of their products may not fit 16 bits
  size_t depth;   // smallest T over the int16 tiles, of longest blocks, in products; 0 without any
  size_t drains;  // of one output position, over the int16 tiles
  bool never_drained;            // every int16 tile drains only once, at the end
  float int16_cost, exact_cost;  // of the tiles that run exact, had they run either way
  float cost;                    // of all tiles, as they run
} OaqPlanSummary;

// Whether a tile of `steps` steps runs int16 with the given drain list; adds it to the summary.
bool oaq_plan_tile(OaqPolicy policy, const OaqCost* cost, float exact_end, const OaqLayout* layout,
                   size_t steps, const uint32_t* blocks, size_t num_blocks,
                   OaqPlanSummary* summary);

// Adds the tiles of `other`.
void oaq_plan_add(const OaqPlanSummary* other, OaqPlanSummary* summary);

// Why tiles run exact, into text[size]; empty where none does. `has_int16`: the ISA has an int16
// kernel for the op.
void oaq_plan_reason(OaqPolicy policy, bool has_int16, const OaqPlanSummary* summary, char* text,
                     size_t size);

#endif  // OAQ_CORE_PLAN_H_
