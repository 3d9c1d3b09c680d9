// SPDX-License-Identifier: Apache-2.0
// The issue model of in_order.py, step by step: the same cycles for the same instructions. What an
// instruction reads, writes and takes, and what pairs, come from there, as a table.
#ifndef OAQ_BENCH_QEMU_IN_ORDER_H_
#define OAQ_BENCH_QEMU_IN_ORDER_H_

#include <stdint.h>

enum { kRegisters = 64, kMaxKinds = 16, kNoKind = kMaxKinds, kForwardedEarly = 3 };

// Sets of registers have a bit for each: x0 to x31, then v0 to v31.
typedef struct {
  uint64_t reads, writes, bases, accumulates;
  uint8_t kind, cycles, latency, forwards;
} InOrderInstruction;

typedef struct {
  uint32_t pairs[kMaxKinds + 1];  // Kinds that issue in one cycle with a first one of this kind.
  uint32_t first;                 // What issued last, if it may still pair, else kNoKind.
  uint64_t free, issued;
  uint64_t ready[kRegisters], early[kRegisters];
} InOrderCore;

// Issues one instruction; how many cycles later the next one can.
static inline uint64_t in_order_issue(InOrderCore* core, const InOrderInstruction* instruction) {
  const uint64_t before = core->free;
  uint64_t operands = 0;
  for (uint64_t rest = instruction->reads; rest != 0; rest &= rest - 1) {
    const int i = __builtin_ctzll(rest);
    const uint64_t known =
        (instruction->accumulates >> i & 1) != 0 ? core->early[i] : core->ready[i];
    if (operands < known) operands = known;
  }
  if (operands <= core->issued && (core->pairs[core->first] >> instruction->kind & 1) != 0) {
    const uint64_t end = core->issued + instruction->cycles;
    if (core->free < end) core->free = end;
    core->first = kNoKind;
  } else {
    core->issued = core->free < operands ? operands : core->free;
    core->free = core->issued + instruction->cycles;
    core->first = instruction->kind;
  }
  const uint64_t takes =
      instruction->latency > instruction->cycles ? instruction->latency : instruction->cycles;
  const uint64_t ready = core->issued + takes;
  for (uint64_t rest = instruction->writes; rest != 0; rest &= rest - 1) {
    const int i = __builtin_ctzll(rest);
    core->ready[i] = ready;
    // Never below zero: what forwards takes four cycles.
    core->early[i] = instruction->forwards != 0 ? ready - kForwardedEarly : ready;
  }
  for (uint64_t rest = instruction->bases; rest != 0; rest &= rest - 1) {
    const int i = __builtin_ctzll(rest);
    core->ready[i] = core->early[i] = core->issued + 1;
  }
  return core->free - before;
}

#endif  // OAQ_BENCH_QEMU_IN_ORDER_H_
