// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_NEON_REQUANTIZE_NEON_H_
#define OAQ_CORE_NEON_REQUANTIZE_NEON_H_

#include <stdbool.h>

#include "core/neon/inline.h"
#include "core/output_stage.h"

// Vectors of sums into codes. TFLite's two roundings (core/output_stage.h) are an instruction each.
// SQRDMULH is floor((x * m + 2^30) / 2^31), which is its first one to the bit: halves go up, also
// those of negative products, and it saturates nowhere, for m is not negative. SRSHL is
// floor((high + 2^(e - 1)) / 2^e), where halves of negative numbers go up instead of away from
// zero; less 1, they go down, and nothing else changes.
//
// `general`, where some channels have no right shift, and `is_signed` are constants wherever this
// is inlined.

// Four channels of the stage.
typedef struct Multipliers {
  int32x4_t multipliers;
  int32x4_t right_shifts;  // -e
  int32x4_t left_shifts;   // of channels without a right shift
} Multipliers;

OAQ_INLINE Multipliers load_multipliers(const OaqOutputStage* stage, size_t channel, bool general) {
  // -e = -(e - 1) - 1
  const int32x4_t right = vmvnq_s32(vld1q_s32(stage->shifts + channel));
  Multipliers channels = {vld1q_s32(stage->multipliers + channel), right, right};
  if (general) {
    channels.right_shifts = vaddq_s32(right, vld1q_s32(stage->doublings + channel));
    channels.left_shifts = vld1q_s32(stage->left_shifts + channel);
  }
  return channels;
}

// Whether a plain stage needs more than kernels that are not signed do.
OAQ_INLINE bool needs_signed(const OaqOutputStage* stage) {
  return stage->requantize.lo != stage->requantize.zero_point;
}

typedef struct Limits {
  int32x4_t zero_point;
  int16x8_t zero_point16;
  int8x16_t lo, hi;
  uint8x16_t zero_point8, width;  // hi less the zero point
} Limits;

OAQ_INLINE Limits load_limits(const OaqOutputStage* stage) {
  const OaqRequantize* requantize = &stage->requantize;
  return (Limits){vdupq_n_s32(requantize->zero_point),
                  vdupq_n_s16((int16_t)requantize->zero_point),
                  vdupq_n_s8((int8_t)requantize->lo),
                  vdupq_n_s8((int8_t)requantize->hi),
                  vdupq_n_u8((uint8_t)requantize->zero_point),
                  vdupq_n_u8((uint8_t)(requantize->hi - requantize->zero_point))};
}

// Scaled sums of four channels; without the zero point, unless `general`: its addition wraps in the
// reference, where there is no right shift.
OAQ_INLINE int32x4_t scale(int32x4_t sums, const Multipliers* channels, const Limits* limits,
                           bool general, bool is_signed) {
  if (general) sums = vshlq_s32(sums, channels->left_shifts);
  int32x4_t high = vqrdmulhq_s32(sums, channels->multipliers);
  if (is_signed && general) {
    // Only where there is a right shift.
    high = vsraq_n_s32(high, vandq_s32(high, channels->right_shifts), 31);
  } else if (is_signed) {
    high = vsraq_n_s32(high, high, 31);
  }
  high = vrshlq_s32(high, channels->right_shifts);
  return general ? add_modulo(high, limits->zero_point) : high;
}

// Saturation anywhere ends at the limits, which int8 codes clamp to anyway.
OAQ_INLINE int16x8_t narrow_scaled(int32x4_t low, int32x4_t high) {
#ifdef __aarch64__
  return vqmovn_high_s32(vqmovn_s32(low), high);
#else
  return vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
#endif
}

OAQ_INLINE int8x16_t narrow_words(int16x8_t low, int16x8_t high) {
#ifdef __aarch64__
  return vqmovn_high_s16(vqmovn_s16(low), high);
#else
  return vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
#endif
}

// Of plain stages; those that are signed are left to be clamped.
OAQ_INLINE int8x16_t narrow_plain(int16x8_t low, int16x8_t high, const Limits* limits,
                                  bool is_signed) {
  if (is_signed) {
    return narrow_words(vqaddq_s16(low, limits->zero_point16),
                        vqaddq_s16(high, limits->zero_point16));
  }
#ifdef __aarch64__
  const uint8x16_t above = vqmovun_high_s16(vqmovun_s16(low), high);
#else
  const uint8x16_t above = vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
#endif
  return vreinterpretq_s8_u8(vaddq_u8(vminq_u8(above, limits->width), limits->zero_point8));
}

OAQ_INLINE int8x16_t clamp_codes(int8x16_t codes, const Limits* limits) {
  return vminq_s8(vmaxq_s8(codes, limits->lo), limits->hi);
}

#endif  // OAQ_CORE_NEON_REQUANTIZE_NEON_H_
