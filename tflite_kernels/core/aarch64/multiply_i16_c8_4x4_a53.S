// SPDX-License-Identifier: Apache-2.0
// For cores that issue two instructions in order, and a 64-bit load to a vector register with
// neither a multiplication nor another load, as Cortex-A53 and A35 do: rows come through general
// registers, whose loads go with multiplications, and an INS goes with a load of weights. A row's
// and a channel's register is loaded anew as soon as its last product of the step is issued.

.macro step op, next, aside=nothing
  \op v0.8h, v16.8b, v24.8b
  .if \next
  ldr x8, [x0], #8
  .endif
  \op v1.8h, v17.8b, v24.8b
  .if \next
  ldr x9, [x1], #8
  .endif
  \op v2.8h, v18.8b, v24.8b
  .if \next
  ldr x10, [x2], #8
  .endif
  \op v3.8h, v19.8b, v24.8b
  .if \next
  ldr x11, [x3], #8
  .endif
  \op v4.8h, v16.8b, v25.8b
  .if \next
  add x4, x4, #32
  .endif
  \op v5.8h, v17.8b, v25.8b
  \aside 5
  \op v6.8h, v18.8b, v25.8b
  \aside 6
  \op v7.8h, v19.8b, v25.8b
  \aside 7
  \op v8.8h, v16.8b, v26.8b
  \aside 8
  \op v9.8h, v17.8b, v26.8b
  \aside 9
  \op v10.8h, v18.8b, v26.8b
  \aside 10
  \op v11.8h, v19.8b, v26.8b
  \aside 11
  \op v12.8h, v16.8b, v27.8b
  .if \next
  ldr d24, [x4, #-32]
  ins v16.d[0], x8
  .endif
  \op v13.8h, v17.8b, v27.8b
  .if \next
  ldr d25, [x4, #-24]
  ins v17.d[0], x9
  .endif
  \op v14.8h, v18.8b, v27.8b
  .if \next
  ldr d26, [x4, #-16]
  ins v18.d[0], x10
  .endif
  \op v15.8h, v19.8b, v27.8b
  .if \next
  ldr d27, [x4, #-8]
  ins v19.d[0], x11
  .endif
.endm

.macro load_part k
  .if \k == 0
  ldr x8, [x0], #8
  .elseif \k == 1
  ldr x9, [x1], #8
  .elseif \k == 2
  ldr x10, [x2], #8
  .elseif \k == 3
  ldr x11, [x3], #8
  .elseif \k == 4
  ldr d24, [x4], #32
  ins v16.d[0], x8
  .elseif \k == 5
  ldr d25, [x4, #-24]
  ins v17.d[0], x9
  .elseif \k == 6
  ldr d26, [x4, #-16]
  ins v18.d[0], x10
  .else
  ldr d27, [x4, #-8]
  ins v19.d[0], x11
  .endif
.endm

#include "core/aarch64/multiply_i16_c8_4x4.inc"

multiply_4x4 oaq_multiply_i16_c8_4x4_a53, 0
multiply_4x4 oaq_multiply_i16_c8_4x4_codes_a53, 1
multiply_4x4_whole oaq_multiply_i16_c8_4x4_whole_a53

#include "core/aarch64/notes.inc"
