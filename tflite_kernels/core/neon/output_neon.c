// SPDX-License-Identifier: Apache-2.0
#include <arm_neon.h>
#include <string.h>

#include "core/neon/kernels_neon.h"
#include "core/neon/requantize_neon.h"
#include "core/size.h"

// The codes of four vectors of sums.
OAQ_INLINE int8x16_t codes_of(const int32_t* const acc[4], const Multipliers* const channels[4],
                              const Limits* limits, bool general, bool is_signed) {
  int32x4_t scaled[4];
  for (size_t i = 0; i < 4; ++i) {
    scaled[i] = scale(vld1q_s32(acc[i]), channels[i], limits, general, is_signed);
  }
  const int16x8_t low = narrow_scaled(scaled[0], scaled[1]);
  const int16x8_t high = narrow_scaled(scaled[2], scaled[3]);
  if (general) return clamp_codes(narrow_words(low, high), limits);
  const int8x16_t codes = narrow_plain(low, high, limits, is_signed);
  return is_signed ? clamp_codes(codes, limits) : codes;
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
  Multipliers channels[4];
  for (size_t i = 0; i < 4; ++i) channels[i] = load_multipliers(stage, channel + 4 * i, general);
  const Multipliers* const of[4] = {&channels[0], &channels[1], &channels[2], &channels[3]};
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

OAQ_INLINE int8x16_t codes_of_four_rows(const Multipliers* channels, const int32_t* acc,
                                        size_t stride, const Limits* limits, bool general,
                                        bool is_signed) {
  const Multipliers* const of[4] = {channels, channels, channels, channels};
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
  const Multipliers channels = load_multipliers(stage, channel, general);
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
  const Limits limits = load_limits(stage);
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
    const bool general = stage->left_shifts != NULL;
    kernel = kKernels[general][general ? oaq_output_stage_is_signed(stage) : needs_signed(stage)];
  }
  kernel(stage, first_channel, channels, rows, acc, acc_stride, out, out_stride);
}
