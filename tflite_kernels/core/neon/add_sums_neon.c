// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>

#include "core/add_sums.h"
#include "core/neon/inline.h"
#include "core/neon/kernels_neon.h"

typedef struct Input {
  int16x8_t zero_point;  // times 2^4
  int32x4_t multiplier;
  int32x4_t right_shift;  // as a negative one to the left
  int32x4_t is_shifted;   // -1 or 0
} Input;

static Input make_input(const OaqAddInput* input) {
  return (Input){vdupq_n_s16((int16_t)(input->zero_point * 16)),
                 vdupq_n_s32(input->high * (1 << 11) + input->low), vdupq_n_s32(-input->shift),
                 vdupq_n_s32(-input->is_shifted)};
}

// MultiplyByQuantizedMultiplier as in output_neon.c: SQRDMULH, and SRSHL with halves of negative
// numbers corrected where there is a shift.
OAQ_INLINE int32x4_t scale(int32x4_t values, const Input* input) {
  const int32x4_t high = vqrdmulhq_s32(values, input->multiplier);
  const int32x4_t corrected = vsraq_n_s32(high, vandq_s32(high, input->is_shifted), 31);
  return vrshlq_s32(corrected, input->right_shift);
}

// Codes less the zero point, times 2^4.
OAQ_INLINE int16x8_t load(const int8_t* codes, const Input* input) {
  return vsubq_s16(vshll_n_s8(vld1_s8(codes), 4), input->zero_point);
}

OAQ_INLINE int32x4_t times_2_to_20(int16x4_t values) { return vshll_n_s16(values, 16); }

void oaq_add_sums_neon(size_t count, const OaqAddInput inputs[2], const int8_t* a, const int8_t* b,
                       int32_t* sums) {
  const Input of_a = make_input(&inputs[0]);
  const Input of_b = make_input(&inputs[1]);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const int16x8_t from_a = load(a + i, &of_a);
    const int16x8_t from_b = load(b + i, &of_b);
    const int32x4_t low_a = scale(times_2_to_20(vget_low_s16(from_a)), &of_a);
    const int32x4_t low_b = scale(times_2_to_20(vget_low_s16(from_b)), &of_b);
    const int32x4_t high_a = scale(times_2_to_20(vget_high_s16(from_a)), &of_a);
    const int32x4_t high_b = scale(times_2_to_20(vget_high_s16(from_b)), &of_b);
    vst1q_s32(sums + i, vaddq_s32(low_a, low_b));
    vst1q_s32(sums + i + 4, vaddq_s32(high_a, high_b));
  }
  oaq_add_sums(count - i, inputs, a + i, b + i, sums + i);
}
