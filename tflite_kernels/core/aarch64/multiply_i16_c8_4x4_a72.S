// SPDX-License-Identifier: Apache-2.0
// For cores that issue out of order and multiply once a cycle, as Cortex-A57, A72, A73 and A75 do:
// the fewest instructions. 128-bit loads bring two channels; rows are doubled, so that SMLAL2 finds
// them beside the second.

.macro step op, next, aside=nothing
  \op v0.8h, v16.8b, v24.8b
  \op\()2 v4.8h, v16.16b, v24.16b
  \op v1.8h, v17.8b, v24.8b
  \op\()2 v5.8h, v17.16b, v24.16b
  \aside 5
  \op v2.8h, v18.8b, v24.8b
  \op\()2 v6.8h, v18.16b, v24.16b
  \aside 6
  \op v3.8h, v19.8b, v24.8b
  \op\()2 v7.8h, v19.16b, v24.16b
  \aside 7
  \op v8.8h, v16.8b, v25.8b
  \op\()2 v12.8h, v16.16b, v25.16b
  \aside 8
  .if \next
  ld1r {v16.2d}, [x0], #8
  .endif
  \op v9.8h, v17.8b, v25.8b
  \op\()2 v13.8h, v17.16b, v25.16b
  \aside 9
  .if \next
  ld1r {v17.2d}, [x1], #8
  .endif
  \op v10.8h, v18.8b, v25.8b
  \op\()2 v14.8h, v18.16b, v25.16b
  \aside 10
  .if \next
  ld1r {v18.2d}, [x2], #8
  .endif
  \op v11.8h, v19.8b, v25.8b
  \op\()2 v15.8h, v19.16b, v25.16b
  \aside 11
  .if \next
  ld1r {v19.2d}, [x3], #8
  ldp q24, q25, [x4], #32
  .endif
.endm

.macro load_step
  ld1r {v16.2d}, [x0], #8
  ld1r {v17.2d}, [x1], #8
  ld1r {v18.2d}, [x2], #8
  ld1r {v19.2d}, [x3], #8
  ldp q24, q25, [x4], #32
.endm

#include "core/aarch64/multiply_i16_c8_4x4.inc"

multiply_4x4 oaq_multiply_i16_c8_4x4_a72

.section .note.GNU-stack, "", %progbits
