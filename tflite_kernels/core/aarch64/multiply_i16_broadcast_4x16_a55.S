// SPDX-License-Identifier: Apache-2.0
// For Cortex-A55, which issues a 64-bit load to a vector register together with a multiplication.
// Lower halves of weights are at x4, upper ones at x9.

// Weights in va and vb, the next ones to vc and vd.
.macro step_with op, k, a, b, c, d
  \op v8.8h, v\a\().8h, v0.h[\k]
  ldr d\c, [x4], #16
  \op v9.8h, v\b\().8h, v0.h[\k]
  ldr d\d, [x4], #16
  .if \k == 0
  sshll v2.8h, v2.8b, #0
  .endif
  \op v10.8h, v\a\().8h, v1.h[\k]
  aside \k, 0
  \op v11.8h, v\b\().8h, v1.h[\k]
  aside \k, 1
  .if \k == 0
  sshll v3.8h, v3.8b, #0
  .endif
  \op v12.8h, v\a\().8h, v2.h[\k]
  ld1 {v\c\().d}[1], [x9], x30
  \op v13.8h, v\b\().8h, v2.h[\k]
  ld1 {v\d\().d}[1], [x9], x30
  .if \k == 6
  cmp x5, #0
  .elseif \k == 7
  ldr d0, [x0], #8
  .endif
  \op v14.8h, v\a\().8h, v3.h[\k]
  .if \k == 6
  csel x4, x27, x4, ne
  .elseif \k == 7
  ldr d1, [x1], #8
  .endif
  aside \k, 2
  \op v15.8h, v\b\().8h, v3.h[\k]
  .if \k == 6
  add x9, x4, #8
  .elseif \k == 7
  ldr d2, [x2], #8
  ldr d3, [x3], #8
  sshll v0.8h, v0.8b, #0
  .endif
.endm

.macro step op, k
  .if \k & 1
  step_with \op, \k, 6, 7, 4, 5
  .else
  step_with \op, \k, 4, 5, 6, 7
  .endif
.endm

.macro begin
  sshll v1.8h, v1.8b, #0
.endm

.macro load_first
  mov x30, #16
  add x9, x4, #8
  ldr d4, [x4], #16
  ldr d5, [x4], #16
  ldr d0, [x0], #8
  ldr d1, [x1], #8
  ld1 {v4.d}[1], [x9], x30
  ld1 {v5.d}[1], [x9], x30
  ldr d2, [x2], #8
  ldr d3, [x3], #8
  sshll v0.8h, v0.8b, #0
.endm

#include "core/aarch64/multiply_i16_broadcast_4x16.inc"

multiply_4x16 oaq_multiply_i16_broadcast_4x16_a55

#include "core/aarch64/notes.inc"
