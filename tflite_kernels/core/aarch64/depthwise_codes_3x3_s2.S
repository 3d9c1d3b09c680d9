// SPDX-License-Identifier: Apache-2.0
// Stride 2: nine columns a row take turns in six registers, the last three in those of the first
// three. Rows 0 and 2 begin in v22, row 1 in v25.

.set kShift, 5

.macro load_first
  ldr d22, [x1]
  ldr d23, [x1, #16]
  ldr d24, [x1, #32]
  ldr d25, [x1, #48]
  ldr d26, [x1, #64]
  ldr d27, [x1, #80]
.endm

// Products with the weights of row `row`, `aside k, row, next, ...` between them; c0 to c5 are
// where the first columns are.
.macro row_of first, w0, w1, w2, c0, c1, c2, c3, c4, c5, aside, row, next
  product \first, 18, \c0, \w0
  \aside 1, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 18, \c1, \w1
  \aside 2, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 18, \c2, \w2
  \aside 3, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product \first, 19, \c2, \w0
  \aside 4, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 19, \c3, \w1
  \aside 5, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 19, \c4, \w2
  \aside 6, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product \first, 20, \c4, \w0
  \aside 7, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 20, \c5, \w1
  \aside 8, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 20, \c0, \w2
  \aside 9, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product \first, 21, \c0, \w0
  \aside 10, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 21, \c1, \w1
  \aside 11, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  product smlal, 21, \c2, \w2
  \aside 12, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
.endm

// This row's columns 6 and 7, and those of the next one that come through general registers.
.macro load_aside k, row, next, c0, c1
  .if \k == 1
  ldr x12, [\row, #112]
  .elseif \k == 2
  ldr x13, [\next, #16]
  .elseif \k == 3
  ldr x14, [\next, #48]
  .elseif \k == 4
  ldr x15, [\next, #80]
  ldr d\c0, [\row, #96]
  ins v\c1\().d[0], x12
  .endif
.endm

// The next row begins in c3.
.macro load k, row, next, c0, c1, c2, c3, c4, c5
  load_aside \k, \row, \next, \c0, \c1
  .if \k == 6
  ldr d\c2, [\row, #128]
  .elseif \k == 8
  ldr d\c3, [\next]
  ins v\c4\().d[0], x13
  .elseif \k == 10
  ldr d\c5, [\next, #32]
  ins v\c0\().d[0], x14
  .elseif \k == 12
  ldr d\c1, [\next, #64]
  ins v\c2\().d[0], x15
  .endif
.endm

.macro load_and_step k, row, next, c0, c1, c2, c3, c4, c5
  load \k, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
  .if \k >= 5 && \k <= 9
  find_step (\k - 5)
  .endif
.endm

// The next row begins in c0.
.macro load_and_move k, row, next, c0, c1, c2, c3, c4, c5
  load_aside \k, \row, \next, \c0, \c1
  .if \k == 5
  add x2, x2, x11
  .elseif \k == 6
  ldr d\c2, [\row, #128]
  .elseif \k == 8
  ldr d\c4, [\next, #64]
  ins v\c3\().d[0], x14
  .elseif \k == 10
  ldr d\c0, [\next]
  ins v\c5\().d[0], x15
  .elseif \k == 12
  ldr d\c2, [\next, #32]
  ins v\c1\().d[0], x13
  .endif
.endm

.macro load_and_finish_unsigned k, row, next, c0, c1, c2, c3, c4, c5
  .if \k == 1
  unsigned_narrow 28
  .elseif \k == 2
  unsigned_narrow 29
  .elseif \k == 3
  unsigned_narrow 30
  .elseif \k == 4
  unsigned_narrow 31
  .endif
  load_aside \k, \row, \next, \c0, \c1
  .if \k == 5
  ldr d\c2, [\row, #128]
  unsigned_clamp 28
  .elseif \k == 6
  unsigned_clamp 29
  unsigned_clamp 30
  .elseif \k == 7
  unsigned_clamp 31
  unsigned_add 28
  .elseif \k == 8
  ldr d\c3, [\next]
  ins v\c4\().d[0], x13
  .elseif \k == 9
  store_0
  unsigned_add 29
  .elseif \k == 10
  ldr d\c5, [\next, #32]
  unsigned_add 30
  .elseif \k == 11
  store_1
  unsigned_add 31
  .elseif \k == 12
  ldr d\c1, [\next, #64]
  ins v\c0\().d[0], x14
  store_2
  ins v\c2\().d[0], x15
  store_3
  .endif
.endm

.macro load_and_finish_signed k, row, next, c0, c1, c2, c3, c4, c5
  .if \k == 1
  signed_add 28
  .elseif \k == 2
  signed_add 29
  .elseif \k == 3
  signed_add 30
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
  store_0
  .elseif \k == 10
  store_1
  .elseif \k == 11
  store_2
  .elseif \k == 12
  store_3
  .endif
  load \k, \row, \next, \c0, \c1, \c2, \c3, \c4, \c5
.endm

.macro row_0 first, is_signed
  .if \is_signed
  row_of \first, 0, 1, 2, 22, 23, 24, 25, 26, 27, load_and_finish_signed, x1, x2
  .else
  row_of \first, 0, 1, 2, 22, 23, 24, 25, 26, 27, load_and_finish_unsigned, x1, x2
  .endif
.endm
.macro row_1
  row_of smlal, 3, 4, 5, 25, 26, 27, 22, 23, 24, load_and_step, x2, x3
.endm
.macro row_2
  row_of smlal, 6, 7, 8, 22, 23, 24, 25, 26, 27, load_and_move, x3, x1
.endm

#include "core/aarch64/depthwise_codes_3x3.inc"

depthwise_codes_3x3 oaq_depthwise_codes_3x3_s2, 0, 0
depthwise_codes_3x3 oaq_depthwise_codes_3x3_s2_signed, 1, 0
depthwise_codes_3x3 oaq_depthwise_codes_3x3_s2_start, 0, 1
depthwise_codes_3x3 oaq_depthwise_codes_3x3_s2_signed_start, 1, 1

#include "core/aarch64/notes.inc"
