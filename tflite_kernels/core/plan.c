// SPDX-License-Identifier: Apache-2.0
#include "core/plan.h"

#include <stdio.h>

#include "core/size.h"

// The shortest block but the last one; the whole share where there is only one.
static size_t tile_depth(const OaqLayout* layout, const uint32_t* blocks, size_t num_blocks) {
  size_t steps = blocks[0];
  for (size_t i = 1; i + 1 < num_blocks; ++i) steps = oaq_min_size(steps, blocks[i]);
  return steps * layout->per_lane;
}

bool oaq_plan_tile(OaqPolicy policy, const OaqCost* cost, float exact_end, const OaqLayout* layout,
                   size_t steps, const uint32_t* blocks, size_t num_blocks,
                   OaqPlanSummary* summary) {
  const float int16_cost = cost->int16_step * (float)steps + cost->int16_drain * (float)num_blocks;
  const float exact_cost = cost->exact_step * (float)steps + exact_end;
  const bool int16 =
      policy == OAQ_POLICY_INT16 || (policy == OAQ_POLICY_AUTO && int16_cost < exact_cost);
  ++summary->tiles;
  summary->cost += int16 ? int16_cost : exact_cost;
  if (!int16) {
    summary->int16_cost += int16_cost;
    summary->exact_cost += exact_cost;
    return false;
  }
  const size_t depth = tile_depth(layout, blocks, num_blocks);
  const bool first = summary->tiles_int16++ == 0;
  summary->depth = first ? depth : oaq_min_size(depth, summary->depth);
  summary->never_drained = (first || summary->never_drained) && num_blocks == 1;
  summary->drains += num_blocks;
  return true;
}

void oaq_plan_add(const OaqPlanSummary* other, OaqPlanSummary* summary) {
  if (other->tiles_int16 > 0) {
    const bool first = summary->tiles_int16 == 0;
    summary->depth = first ? other->depth : oaq_min_size(other->depth, summary->depth);
    summary->never_drained = (first || summary->never_drained) && other->never_drained;
  }
  summary->tiles += other->tiles;
  summary->tiles_int16 += other->tiles_int16;
  summary->tiles_saturating += other->tiles_saturating;
  summary->drains += other->drains;
  summary->int16_cost += other->int16_cost;
  summary->exact_cost += other->exact_cost;
  summary->cost += other->cost;
}

void oaq_plan_reason(OaqPolicy policy, bool has_int16, const OaqPlanSummary* summary, char* text,
                     size_t size) {
  const size_t exact = summary->tiles - summary->tiles_int16;
  if (exact == 0) {
    snprintf(text, size, "%s", "");
  } else if (policy == OAQ_POLICY_EXACT) {
    snprintf(text, size, "plan=exact");
  } else if (!has_int16) {
    snprintf(text, size, "%s",
             "int32 sums cost nothing on this CPU: it has a dot-product instruction");
  } else if (summary->tiles_saturating == exact) {
    snprintf(text, size, "%zu of %zu tiles: a pair of products may not fit 16 bits", exact,
             summary->tiles);
  } else {
    snprintf(text, size, "%zu of %zu tiles: exact costs %.0f, int16 with its drains %.0f", exact,
             summary->tiles, (double)summary->exact_cost, (double)summary->int16_cost);
  }
}
