// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>
#include <string.h>

#include "core/neon/inline.h"
#include "core/neon/kernels_neon.h"
#include "core/size.h"

// TFLite's two roundings (core/output_stage.h) are an instruction each. SQRDMULH is
// floor((x * m + 2^30) / 2^31), which is its first one to the bit: halves go up, also those of
// negative products, and it saturates nowhere, for m is not negative. SRSHL is
// floor((high + 2^(e - 1)) / 2^e), where halves of negative numbers go up instead of away from
// zero; less 1, they go down, and nothing else changes.

// Four channels of the stage.
typedef struct Channels {
  int32x4_t multipliers;
  int32x4_t right_shifts;  // -e
  int32x4_t left_shifts;   // of channels without a right shift
} Channels;

OAQ_INLINE Channels load_channels(const OaqOutputStage* stage, size_t channel, bool general) {
  // -e = -(e - 1) - 1
  const int32x4_t right = vmvnq_s32(vld1q_s32(stage->shifts + channel));
  Channels channels = {vld1q_s32(stage->multipliers + channel), right, right};
  if (general) {
    channels.right_shifts = vaddq_s32(right, vld1q_s32(stage->doublings + channel));
    channels.left_shifts = vld1q_s32(stage->left_shifts + channel);
  }
  return channels;
}

// Scaled sums of four channels; without the zero point, unless `general`: its addition wraps in the
// reference, where there is no right shift.
OAQ_INLINE int32x4_t scale(const int32_t* acc, const Channels* channels, int32x4_t zero_point,
                           bool general, bool is_signed) {
  int32x4_t sums = vld1q_s32(acc);
  if (general) sums = vshlq_s32(sums, channels->left_shifts);
  int32x4_t high = vqrdmulhq_s32(sums, channels->multipliers);
  if (is_signed && general) {
    // Only where there is a right shift.
    high = vsraq_n_s32(high, vandq_s32(high, channels->right_shifts), 31);
  } else if (is_signed) {
    high = vsraq_n_s32(high, high, 31);
  }
  high = vrshlq_s32(high, channels->right_shifts);
  return general ? add_modulo(high, zero_point) : high;
}

typedef struct Limits {
  int32x4_t zero_point;
  int16x8_t zero_point16;  // 0 where scale() adds it
  int8x16_t lo, hi;
} Limits;

OAQ_INLINE int16x8_t narrow_words(int32x4_t low, int32x4_t high, const Limits* limits,
                                  bool general) {
#ifdef __aarch64__
  const int16x8_t words = vqmovn_high_s32(vqmovn_s32(low), high);
#else
  const int16x8_t words = vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
#endif
  return general ? words : vqaddq_s16(words, limits->zero_point16);
}

// The codes of four vectors of sums. Saturation anywhere ends at the limits, which int8 codes clamp
// to anyway.
OAQ_INLINE int8x16_t codes_of(const int32_t* const acc[4], const Channels* const channels[4],
                              const Limits* limits, bool general, bool is_signed) {
  int32x4_t scaled[4];
  for (size_t i = 0; i < 4; ++i) {
    scaled[i] = scale(acc[i], channels[i], limits->zero_point, general, is_signed);
  }
  const int16x8_t low = narrow_words(scaled[0], scaled[1], limits, general);
  const int16x8_t high = narrow_words(scaled[2], scaled[3], limits, general);
#ifdef __aarch64__
  const int8x16_t codes = vqmovn_high_s16(vqmovn_s16(low), high);
#else
  const int8x16_t codes = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
#endif
  return vminq_s8(vmaxq_s8(codes, limits->lo), limits->hi);
}

typedef struct Rows {
  size_t count;
  const int32_t* acc;
  size_t acc_stride;
  int8_t* out;
  size_t out_stride;
} Rows;

// Sixteen channels.
OAQ_INLINE void output_16(const OaqOutputStage* stage, size_t channel, Rows rows,
                          const Limits* limits, bool general, bool is_signed) {
  Channels channels[4];
  for (size_t i = 0; i < 4; ++i) channels[i] = load_channels(stage, channel + 4 * i, general);
  const Channels* const of[4] = {&channels[0], &channels[1], &channels[2], &channels[3]};
#ifdef __aarch64__
  // There are registers for two rows, which hide the latencies of each other's instructions.
  for (; rows.count >= 2; rows.count -= 2) {
    const int32_t* next = rows.acc + rows.acc_stride;
    const int32_t* const acc[4] = {rows.acc, rows.acc + 4, rows.acc + 8, rows.acc + 12};
    const int32_t* const next_acc[4] = {next, next + 4, next + 8, next + 12};
    const int8x16_t codes = codes_of(acc, of, limits, general, is_signed);
    const int8x16_t next_codes = codes_of(next_acc, of, limits, general, is_signed);
    vst1q_s8(rows.out, codes);
    vst1q_s8(rows.out + rows.out_stride, next_codes);
    rows.acc = next + rows.acc_stride;
    rows.out += 2 * rows.out_stride;
  }
#endif
  for (; rows.count > 0; --rows.count) {
    const int32_t* const acc[4] = {rows.acc, rows.acc + 4, rows.acc + 8, rows.acc + 12};
    vst1q_s8(rows.out, codes_of(acc, of, limits, general, is_signed));
    rows.acc += rows.acc_stride;
    rows.out += rows.out_stride;
  }
}

OAQ_INLINE int8x16_t codes_of_four_rows(const Channels* channels, const int32_t* acc, size_t stride,
                                        const Limits* limits, bool general, bool is_signed) {
  const Channels* const of[4] = {channels, channels, channels, channels};
  const int32_t* const rows[4] = {acc, acc + stride, acc + 2 * stride, acc + 3 * stride};
  return codes_of(rows, of, limits, general, is_signed);
}

OAQ_INLINE void store_four_rows(int8x16_t codes, int8_t* out, size_t stride) {
  const uint32x4_t words = vreinterpretq_u32_s8(codes);
  const uint32_t rows[4] = {vgetq_lane_u32(words, 0), vgetq_lane_u32(words, 1),
                            vgetq_lane_u32(words, 2), vgetq_lane_u32(words, 3)};
  for (size_t i = 0; i < 4; ++i) memcpy(out + i * stride, &rows[i], sizeof(rows[i]));
}

// Up to four channels: of four rows at once.
OAQ_INLINE void output_4(const OaqOutputStage* stage, size_t channel, size_t left, Rows rows,
                         const Limits* limits, bool general, bool is_signed) {
  const Channels channels = load_channels(stage, channel, general);
  const size_t stride = rows.acc_stride;
#ifdef __aarch64__
  for (; rows.count >= 8 && left == 4; rows.count -= 8) {
    const int32_t* next = rows.acc + 4 * stride;
    const int8x16_t codes =
        codes_of_four_rows(&channels, rows.acc, stride, limits, general, is_signed);
    const int8x16_t next_codes =
        codes_of_four_rows(&channels, next, stride, limits, general, is_signed);
    store_four_rows(codes, rows.out, rows.out_stride);
    store_four_rows(next_codes, rows.out + 4 * rows.out_stride, rows.out_stride);
    rows.acc = next + 4 * stride;
    rows.out += 8 * rows.out_stride;
  }
#endif
  for (; rows.count >= 4 && left == 4; rows.count -= 4) {
    const int8x16_t codes =
        codes_of_four_rows(&channels, rows.acc, stride, limits, general, is_signed);
    store_four_rows(codes, rows.out, rows.out_stride);
    rows.acc += 4 * stride;
    rows.out += 4 * rows.out_stride;
  }
  for (; rows.count > 0; --rows.count) {
    int8_t copy[16];
    vst1q_s8(copy, codes_of_four_rows(&channels, rows.acc, 0, limits, general, is_signed));
    memcpy(rows.out, copy, left);
    rows.acc += stride;
    rows.out += rows.out_stride;
  }
}

OAQ_INLINE void output(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                       size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                       size_t out_stride, bool general, bool is_signed) {
  const Limits limits = {
      vdupq_n_s32(stage->requantize.zero_point), vdupq_n_s16((int16_t)stage->requantize.zero_point),
      vdupq_n_s8((int8_t)stage->requantize.lo), vdupq_n_s8((int8_t)stage->requantize.hi)};
  size_t n = 0;
  for (; n + 16 <= channels; n += 16) {
    output_16(stage, first_channel + n, (Rows){rows, acc + n, acc_stride, out + n, out_stride},
              &limits, general, is_signed);
  }
  for (; n < channels; n += 4) {
    output_4(stage, first_channel + n, oaq_min_size(4, channels - n),
             (Rows){rows, acc + n, acc_stride, out + n, out_stride}, &limits, general, is_signed);
  }
}

#define OAQ_DEFINE_OUTPUT(name, general, is_signed)                                           \
  OAQ_NOINLINE void name(const OaqOutputStage* stage, size_t first_channel, size_t channels,  \
                         size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,     \
                         size_t out_stride) {                                                 \
    output(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride, (general), \
           (is_signed));                                                                      \
  }

OAQ_DEFINE_OUTPUT(output_plain, false, false)
OAQ_DEFINE_OUTPUT(output_plain_signed, false, true)
OAQ_DEFINE_OUTPUT(output_general, true, false)
OAQ_DEFINE_OUTPUT(output_general_signed, true, true)

void oaq_output_neon(const OaqOutputStage* stage, size_t first_channel, size_t channels,
                     size_t rows, const int32_t* acc, size_t acc_stride, int8_t* out,
                     size_t out_stride) {
  OaqOutput kernel = oaq_output_scalar;
  if (stage->multipliers != NULL) {
    static const OaqOutput kKernels[2][2] = {{output_plain, output_plain_signed},
                                             {output_general, output_general_signed}};
    kernel = kKernels[stage->left_shifts != NULL][oaq_output_stage_is_signed(stage)];
  }
  kernel(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
}
