// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_INLINE_H_
#define OAQ_CORE_NEON_INLINE_H_

#include <arm_neon.h>

#include "core/inline.h"

// Before a loop whose number of turns is a constant where it is inlined.
#ifdef __clang__
#define OAQ_UNROLL _Pragma("unroll")
#else
#define OAQ_UNROLL _Pragma("GCC unroll 32")
#endif

// a + b modulo 2^32: to gcc, vaddq_s32 is an addition that may not overflow.
OAQ_INLINE int32x4_t add_modulo(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_u32(vaddq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}

#endif  // OAQ_CORE_NEON_INLINE_H_
