// SPDX-License-Identifier: Apache-2.0
// For cores that issue two instructions in order, one of which may be a 64-bit load to a vector
// register, as Cortex-A55 does. A row's register is loaded anew together with its last product of
// the step, whose latency the other rows' products then cover.

.macro step op, next, aside=nothing
  \op v0.8h, v16.8b, v24.8b
  ldr d27, [x4, #-8]
  \op v1.8h, v17.8b, v24.8b
  \op v2.8h, v18.8b, v24.8b
  \op v3.8h, v19.8b, v24.8b
  .if \next
  ldr d24, [x4], #32
  .endif
  \op v4.8h, v16.8b, v25.8b
  \op v5.8h, v17.8b, v25.8b
  \aside 5
  \op v6.8h, v18.8b, v25.8b
  \aside 6
  \op v7.8h, v19.8b, v25.8b
  .if \next
  ldr d25, [x4, #-24]
  .endif
  \op v8.8h, v16.8b, v26.8b
  \aside 7
  \op v9.8h, v17.8b, v26.8b
  \aside 8
  \op v10.8h, v18.8b, v26.8b
  \aside 9
  \op v11.8h, v19.8b, v26.8b
  .if \next
  ldr d26, [x4, #-16]
  .endif
  \op v12.8h, v16.8b, v27.8b
  .if \next
  ldr d16, [x0], #8
  .endif
  \op v13.8h, v17.8b, v27.8b
  .if \next
  ldr d17, [x1], #8
  .endif
  \op v14.8h, v18.8b, v27.8b
  .if \next
  ldr d18, [x2], #8
  .endif
  \op v15.8h, v19.8b, v27.8b
  .if \next
  ldr d19, [x3], #8
  .endif
  \aside 10
  \aside 11
.endm

.macro load_part k
  .if \k == 0
  ldr d16, [x0], #8
  .elseif \k == 1
  ldr d17, [x1], #8
  .elseif \k == 2
  ldr d18, [x2], #8
  .elseif \k == 3
  ldr d19, [x3], #8
  .elseif \k == 4
  ldr d24, [x4], #32
  .elseif \k == 5
  ldr d25, [x4, #-24]
  .elseif \k == 6
  ldr d26, [x4, #-16]
  .endif
.endm

#include "core/aarch64/multiply_i16_c8_4x4.inc"

multiply_4x4 oaq_multiply_i16_c8_4x4_a55, 0
multiply_4x4 oaq_multiply_i16_c8_4x4_codes_a55, 1
multiply_4x4_whole oaq_multiply_i16_c8_4x4_whole_a55

#include "core/aarch64/notes.inc"
