// SPDX-License-Identifier: Apache-2.0
// For cores that issue out of order and multiply once a cycle, as Cortex-A57, A72, A73 and A75 do:
// the fewest instructions. Two steps at a time take 39 with their loop: a 128-bit load brings a
// row's codes of both, and LD4 the weights, a channel's of both in one register. A single step has
// rows doubled, so that SMLAL2 finds them beside the second channel of a register. Loads need no
// places between the products: they go ahead of those that came before.

#include "core/aarch64/finish_i16_c8_4x4.inc"

// Weights in v24 to v27, rows in v16 to v19; `op` is smull or smlal.
.macro two_steps op
  ld4 {v24.2d, v25.2d, v26.2d, v27.2d}, [x4], #64
  ldr q16, [x0], #16
  ldr q17, [x1], #16
  ldr q18, [x2], #16
  ldr q19, [x3], #16
  two_steps_of_row \op, 16, 0, 4, 8, 12
  two_steps_of_row \op, 17, 1, 5, 9, 13
  two_steps_of_row \op, 18, 2, 6, 10, 14
  two_steps_of_row \op, 19, 3, 7, 11, 15
.endm

.macro two_steps_of_row op, row, n0, n1, n2, n3
  \op v\n0\().8h, v\row\().8b, v24.8b
  \op v\n1\().8h, v\row\().8b, v25.8b
  \op v\n2\().8h, v\row\().8b, v26.8b
  \op v\n3\().8h, v\row\().8b, v27.8b
  smlal2 v\n0\().8h, v\row\().16b, v24.16b
  smlal2 v\n1\().8h, v\row\().16b, v25.16b
  smlal2 v\n2\().8h, v\row\().16b, v26.16b
  smlal2 v\n3\().8h, v\row\().16b, v27.16b
.endm

.macro one_step op
  ldp q24, q25, [x4], #32
  ld1r {v16.2d}, [x0], #8
  ld1r {v17.2d}, [x1], #8
  ld1r {v18.2d}, [x2], #8
  ld1r {v19.2d}, [x3], #8
  step_of_row \op, 16, 0, 4, 8, 12
  step_of_row \op, 17, 1, 5, 9, 13
  step_of_row \op, 18, 2, 6, 10, 14
  step_of_row \op, 19, 3, 7, 11, 15
.endm

.macro step_of_row op, row, n0, n1, n2, n3
  \op v\n0\().8h, v\row\().8b, v24.8b
  \op\()2 v\n1\().8h, v\row\().16b, v24.16b
  \op v\n2\().8h, v\row\().8b, v25.8b
  \op\()2 v\n3\().8h, v\row\().16b, v25.16b
.endm

// Row pointers of the next segment, which has x6 steps.
.macro segment_start
  ldr x0, [x15], #8
  ldr x6, [x17, #kSegmentSteps]
  add x0, x0, x19
  add x1, x0, x24
  add x2, x0, x25
  add x3, x0, x26
.endm

// As long as neither the block nor the segment ends: x7 steps.
.macro find_run
  cmp x5, x6
  csel x7, x5, x6, lo
  sub x5, x5, x7
  sub x6, x6, x7
.endm

// Any segments and blocks: x5 steps left in the block, x6 in the segment, x7 of a run; x12 blocks,
// x13 blocks left, x14 start values, x15 segments; x19 the group's first row, x20 groups left, x22
// from group to group.
.macro multiply_4x4 name, codes
  enter \name, \codes

.Lgroup_\@:
  ldr x4, [x17, #kB]
  mov v28.16b, v20.16b
  ldr x15, [x17, #kSegments]
  mov v29.16b, v20.16b
  ldr x12, [x17, #kSegmentSteps + 8]
  mov v30.16b, v20.16b
  ldp x13, x14, [x17, #kNumBlocks]
  mov v31.16b, v20.16b
  segment_start

.Lblock_\@:
  ldr w5, [x12], #4
  cbnz x14, .Lfrom_start_\@
  cbz x6, .Lfirst_segment_\@
.Lfirst_run_\@:
  find_run
  tbnz x7, #0, .Lfirst_step_\@
  two_steps smull
  subs x7, x7, #2
  b.eq .Lrun_done_\@
.Ltwo_steps_\@:
  two_steps smlal
  subs x7, x7, #2
  b.ne .Ltwo_steps_\@
.Lrun_done_\@:
  cbnz x5, .Lnext_segment_\@

  subs x13, x13, #1
  b.eq .Llast_drain_\@
  tbnz x23, #1, .Lpairs_of_pairs_\@
  tbnz x23, #0, .Lpairs_\@
.Lno_pairs_\@:
  drain 0, 0
  b.ne .Lblock_\@
.Lgroup_done_\@:
  .if \codes
  output_codes
  .else
  st1 {v28.4s, v29.4s, v30.4s, v31.4s}, [x21], #64
  .endif
  add x19, x19, x22
  subs x20, x20, #1
  b.ne .Lgroup_\@
  leave

.Lfrom_start_\@:
  load_start
  cbnz x6, .Lrun_\@
.Lnext_segment_\@:
  segment_start
.Lrun_\@:
  find_run
  tbz x7, #0, .Ltwo_steps_\@
  one_step smlal
  subs x7, x7, #1
  b.ne .Ltwo_steps_\@
  b .Lrun_done_\@

.Lfirst_segment_\@:
  segment_start
  b .Lfirst_run_\@
.Lfirst_step_\@:
  one_step smull
  subs x7, x7, #1
  b.ne .Ltwo_steps_\@
  b .Lrun_done_\@

.Llast_drain_\@:
  tbnz x23, #kLastLevels + 1, .Llast_pairs_of_pairs_\@
  tbz x23, #kLastLevels, .Lno_pairs_\@
  b .Lpairs_\@
.Llast_pairs_of_pairs_\@:
  tbz x23, #kLastLevels, .Ltwo_levels_\@
  b .Lall_\@

// Lanes that may be added in 16 bits first.
.Lpairs_\@:
  drain 1, 0
  b.ne .Lblock_\@
  b .Lgroup_done_\@
.Lpairs_of_pairs_\@:
  tbnz x23, #0, .Lall_\@
.Ltwo_levels_\@:
  drain 2, 0
  b.ne .Lblock_\@
  b .Lgroup_done_\@
.Lall_\@:
  drain 3, 0
  b.ne .Lblock_\@
  b .Lgroup_done_\@
  .size \name, . - \name
.endm

// One segment that is one block without start values: x7 pairs of steps left,
// x9 steps, x12 weights, x13 pairs but the first, x22 from a group's end to the next one.
.macro multiply_4x4_whole name
  enter \name, 1
  ldr x9, [x17, #kSegmentSteps]
  ldr x12, [x17, #kB]
  add x0, x19, x28
  add x1, x0, x24
  add x2, x0, x25
  add x3, x0, x26
  sub x22, x22, x9, lsl #3
  lsr x13, x9, #1
  sub x13, x13, #1

.Lgroup_\@:
  mov x4, x12
  tbnz x13, #63, .Lone_step_\@
  two_steps smull
  cbz x13, .Lpairs_done_\@
  mov x7, x13
.Ltwo_steps_\@:
  two_steps smlal
  subs x7, x7, #1
  b.ne .Ltwo_steps_\@
.Lpairs_done_\@:
  tbz x9, #0, .Ldrain_\@
  one_step smlal
.Ldrain_\@:
  tbnz x23, #1, .Lpairs_of_pairs_\@
  tbnz x23, #0, .Lpairs_\@
  drain 0, 1
.Loutput_\@:
  output_codes
  add x0, x0, x22
  add x1, x1, x22
  add x2, x2, x22
  add x3, x3, x22
  subs x20, x20, #1
  b.ne .Lgroup_\@
  leave

.Lone_step_\@:
  one_step smull
  b .Ldrain_\@

.Lpairs_\@:
  drain 1, 1
  b .Loutput_\@
.Lpairs_of_pairs_\@:
  tbnz x23, #0, .Lall_\@
  drain 2, 1
  b .Loutput_\@
.Lall_\@:
  drain 3, 1
  b .Loutput_\@
  .size \name, . - \name
.endm

multiply_4x4 oaq_multiply_i16_c8_4x4_a72, 0
multiply_4x4 oaq_multiply_i16_c8_4x4_codes_a72, 1
multiply_4x4_whole oaq_multiply_i16_c8_4x4_whole_a72

#include "core/aarch64/notes.inc"
