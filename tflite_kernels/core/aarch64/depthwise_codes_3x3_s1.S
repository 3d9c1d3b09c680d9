// SPDX-License-Identifier: Apache-2.0
// Stride 1: column c of a row is in v(22 + c), and goes when its last product is issued.

.set kShift, 4

.macro load_first
  .irp c, 0, 1, 2, 3, 4, 5
  load_column \c, x1
  .endr
.endm

.macro load_column c, row
  .if \c == 0
  ldr d22, [\row]
  .elseif \c == 1
  ldr d23, [\row, #16]
  .elseif \c == 2
  ldr d24, [\row, #32]
  .elseif \c == 3
  ldr d25, [\row, #48]
  .elseif \c == 4
  ldr d26, [\row, #64]
  .else
  ldr d27, [\row, #80]
  .endif
.endm

// Products with the weights of a row, `aside k, next` between them.
.macro row_of first, w0, w1, w2, aside, next
  product \first, 18, 22, \w0
  \aside 1, \next
  product smlal, 18, 23, \w1
  \aside 2, \next
  product \first, 19, 23, \w0
  \aside 3, \next
  product smlal, 18, 24, \w2
  \aside 4, \next
  product smlal, 19, 24, \w1
  \aside 5, \next
  product \first, 20, 24, \w0
  \aside 6, \next
  product smlal, 19, 25, \w2
  \aside 7, \next
  product smlal, 20, 25, \w1
  \aside 8, \next
  product \first, 21, 25, \w0
  \aside 9, \next
  product smlal, 20, 26, \w2
  \aside 10, \next
  product smlal, 21, 26, \w1
  \aside 11, \next
  product smlal, 21, 27, \w2
  \aside 12, \next
.endm

.macro load_odd k, next
  .if \k == 1
  ldr x12, [\next, #16]
  .elseif \k == 2
  ldr x13, [\next, #48]
  .elseif \k == 3
  ldr x14, [\next, #80]
  .endif
.endm

.macro load k, next
  load_odd \k, \next
  .if \k == 3
  load_column 0, \next
  ins v23.d[0], x12
  .elseif \k == 9
  load_column 2, \next
  ins v25.d[0], x13
  .elseif \k == 12
  load_column 4, \next
  ins v27.d[0], x14
  .endif
.endm

.macro load_and_step k, next
  load \k, \next
  .if \k >= 4 && \k <= 8
  find_step (\k - 4)
  .endif
.endm

.macro load_and_move k, next
  load \k, \next
  .if \k == 4
  add x2, x2, x11
  .endif
.endm

.macro load_and_finish_unsigned k, next
  load_odd \k, \next
  .if \k == 1
  unsigned_narrow 28
  .elseif \k == 2
  unsigned_narrow 29
  .elseif \k == 3
  unsigned_narrow 30
  .elseif \k == 4
  unsigned_narrow 31
  .elseif \k == 5
  unsigned_clamp 28
  unsigned_clamp 29
  .elseif \k == 6
  unsigned_clamp 30
  unsigned_clamp 31
  .elseif \k == 7
  load_column 0, \next
  unsigned_add 28
  .elseif \k == 8
  load_column 2, \next
  unsigned_add 29
  .elseif \k == 9
  store_0
  unsigned_add 30
  .elseif \k == 10
  store_1
  unsigned_add 31
  .elseif \k == 11
  load_column 4, \next
  ins v23.d[0], x12
  .elseif \k == 12
  store_2
  ins v25.d[0], x13
  store_3
  ins v27.d[0], x14
  .endif
.endm

.macro load_and_finish_signed k, next
  load_odd \k, \next
  .if \k == 1
  signed_add 28
  .elseif \k == 2
  signed_add 29
  .elseif \k == 3
  signed_add 30
  load_column 0, \next
  ins v23.d[0], x12
  .elseif \k == 4
  signed_add 31
  .elseif \k == 5
  signed_narrow 28
  .elseif \k == 6
  signed_narrow 29
  .elseif \k == 7
  signed_narrow 30
  .elseif \k == 8
  signed_narrow 31
  .elseif \k == 9
  load_column 2, \next
  ins v25.d[0], x13
  .elseif \k == 10
  store_0
  .elseif \k == 11
  store_1
  .elseif \k == 12
  store_2
  load_column 4, \next
  ins v27.d[0], x14
  store_3
  .endif
.endm

.macro row_0 first, is_signed
  .if \is_signed
  row_of \first, 0, 1, 2, load_and_finish_signed, x2
  .else
  row_of \first, 0, 1, 2, load_and_finish_unsigned, x2
  .endif
.endm
.macro row_1
  row_of smlal, 3, 4, 5, load_and_step, x3
.endm
.macro row_2
  row_of smlal, 6, 7, 8, load_and_move, x1
.endm

#include "core/aarch64/depthwise_codes_3x3.inc"

depthwise_codes_3x3 oaq_depthwise_codes_3x3_s1, 0, 0
depthwise_codes_3x3 oaq_depthwise_codes_3x3_s1_signed, 1, 0
depthwise_codes_3x3 oaq_depthwise_codes_3x3_s1_start, 0, 1
depthwise_codes_3x3 oaq_depthwise_codes_3x3_s1_signed_start, 1, 1

#include "core/aarch64/notes.inc"
