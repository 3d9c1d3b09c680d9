// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>

#include "core/neon/kernels_neon.h"

enum { kVector = 16, kQuarter = 64 };

static inline uint8x16x4_t quarter_of(const uint8_t* bytes) {
  const uint8x16x4_t found = {{vld1q_u8(bytes), vld1q_u8(bytes + kVector),
                               vld1q_u8(bytes + 2 * kVector), vld1q_u8(bytes + 3 * kVector)}};
  return found;
}

// TBX leaves what it looks up nothing for: codes beyond 63, once 64, 128 or 192 is taken off.
void oaq_look_up_neon(const uint8_t* bytes, size_t count, const uint8_t* in, uint8_t* out) {
  const uint8x16x4_t first = quarter_of(bytes);
  const uint8x16x4_t second = quarter_of(bytes + kQuarter);
  const uint8x16x4_t third = quarter_of(bytes + 2 * kQuarter);
  const uint8x16x4_t fourth = quarter_of(bytes + 3 * kQuarter);
  const uint8x16_t quarter = vdupq_n_u8(kQuarter);
  size_t i = 0;
  for (; i + kVector <= count; i += kVector) {
    uint8x16_t codes = vld1q_u8(in + i);
    uint8x16_t found = vqtbl4q_u8(first, codes);
    codes = vsubq_u8(codes, quarter);
    found = vqtbx4q_u8(found, second, codes);
    codes = vsubq_u8(codes, quarter);
    found = vqtbx4q_u8(found, third, codes);
    codes = vsubq_u8(codes, quarter);
    vst1q_u8(out + i, vqtbx4q_u8(found, fourth, codes));
  }
  for (; i < count; ++i) out[i] = bytes[in[i]];
}
