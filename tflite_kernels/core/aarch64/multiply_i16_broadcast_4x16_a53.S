// SPDX-License-Identifier: Apache-2.0
// For Cortex-A53 and A35 (multiply_i16_c8_4x4_a53.S says what they issue together): half of a
// register of weights is loaded in the cycle of an INS, which fills another one's upper half from a
// general register, loaded beside a multiplication. Likewise for rows.

// Weights in va and vb, whose upper half is in x9, the next ones to vc and vd.
.macro step_with op, k, a, b, c, d, next
  ldr d\c, [x4, #\next]
  ins v\b\().d[1], x9
  .if \k == 0
  sshll v2.8h, v2.8b, #0
  sshll v3.8h, v3.8b, #0
  .endif
  \op v8.8h, v\a\().8h, v0.h[\k]
  ldr x8, [x4, #\next+8]
  \op v10.8h, v\a\().8h, v1.h[\k]
  ldr x9, [x4, #\next+24]
  .if \k < 7
  \op v12.8h, v\a\().8h, v2.h[\k]
    .if \k == 4
  ldr x11, [x1], #8
    .elseif \k == 5
  ldr x13, [x3], #8
    .elseif \k == 6
  cmp x5, #0
    .endif
  \op v14.8h, v\a\().8h, v3.h[\k]
    .if \k == 6
  add x12, x4, #256
    .endif
  ldr d\d, [x4, #\next+16]
  ins v\c\().d[1], x8
  \op v9.8h, v\b\().8h, v0.h[\k]
    .if \k == 6
  csel x4, x27, x12, ne
    .endif
  aside \k, 0
  \op v11.8h, v\b\().8h, v1.h[\k]
  aside \k, 1
  \op v13.8h, v\b\().8h, v2.h[\k]
  aside \k, 2
  \op v15.8h, v\b\().8h, v3.h[\k]
  .else
  \op v12.8h, v\a\().8h, v2.h[\k]
  aside \k, 0
  \op v9.8h, v\b\().8h, v0.h[\k]
  \op v11.8h, v\b\().8h, v1.h[\k]
  ldr d0, [x0], #8
  fmov d1, x11
  ldr d\d, [x4, #\next+16]
  ins v\c\().d[1], x8
  \op v14.8h, v\a\().8h, v3.h[\k]
  aside \k, 1
  \op v13.8h, v\b\().8h, v2.h[\k]
  \op v15.8h, v\b\().8h, v3.h[\k]
  ldr d2, [x2], #8
  fmov d3, x13
  sshll v0.8h, v0.8b, #0
  .endif
.endm

.macro step op, k
  .if \k == 7
  step_with \op, 7, 6, 7, 4, 5, 0
  .elseif \k & 1
  step_with \op, \k, 6, 7, 4, 5, (32*\k+32)
  .else
  step_with \op, \k, 4, 5, 6, 7, (32*\k+32)
  .endif
.endm

.macro begin
  sshll v1.8h, v1.8b, #0
.endm

.macro load_first
  ldr d4, [x4]
  ldr x8, [x4, #8]
  ldr d5, [x4, #16]
  ldr x9, [x4, #24]
  ins v4.d[1], x8
  ldr x11, [x1], #8
  ldr d0, [x0], #8
  fmov d1, x11
  ldr x13, [x3], #8
  ldr d2, [x2], #8
  fmov d3, x13
  sshll v0.8h, v0.8b, #0
.endm

#include "core/aarch64/multiply_i16_broadcast_4x16.inc"

multiply_4x16 oaq_multiply_i16_broadcast_4x16_a53

#include "core/aarch64/notes.inc"
