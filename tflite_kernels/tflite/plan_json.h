// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_PLAN_JSON_H_
#define OAQ_TFLITE_PLAN_JSON_H_

#include "tflite/op.h"

// What the plan says of one node. Entries are linked in the order in which nodes were seen.
typedef struct OaqPlanEntry {
  struct OaqPlanEntry* next;
  const void* graph;  // the runtime's subgraph, to tell a second visit
  int subgraph;       // counted in the order of visits
  bool outdated;      // the subgraph was visited again
  int node;
  const char* kind;  // builtin name, or that of a custom op: points at `custom_kind`
  char custom_kind[64];
  char* name;  // the first output's
  char reason[384];
  bool claimed;
  const char*
      runs;  // "table", "copy": nothing is summed, of what follows it has the range; or NULL
  const char* isa;
  const OaqLayout* layout;
  OaqPlanSummary summary;
  OaqRange range;
  bool checked;
  uint64_t macs;
  // What a node takes that was claimed once; scratch while it runs on the kernels, 0 workers else.
  size_t weights_bytes, packed_bytes, scratch_bytes, workers;
  bool profiled;
  uint64_t invocations, nanoseconds;  // where profiled
} OaqPlanEntry;

// Writes the entries (docs/format.md) into buffer[size], cut to fit and NUL-terminated; returns the
// length of the whole text.
size_t oaq_plan_json(const OaqPlanEntry* first, char* buffer, size_t size);

#endif  // OAQ_TFLITE_PLAN_JSON_H_
