// SPDX-License-Identifier: Apache-2.0
#include "core/aarch64/kernels_aarch64.h"
#include "core/aarch64/multiply_i16_c8_4x4.h"
#include "core/neon/kernels_neon.h"

// As finish_i16_c8_4x4.inc has them.
_Static_assert(offsetof(OaqMultiply4x4, a) == 0, "kA");
_Static_assert(offsetof(OaqMultiply4x4, groups) == 16, "kGroups");
_Static_assert(offsetof(OaqMultiply4x4, row_offsets) == 32, "kRowOffsets");
_Static_assert(offsetof(OaqMultiply4x4, levels) == 56, "kLevels");
_Static_assert(offsetof(OaqMultiply4x4, bias) == 64, "kBias");
_Static_assert(offsetof(OaqMultiply4x4, b) == 72, "kB");
_Static_assert(offsetof(OaqMultiply4x4, segments) == 80, "kSegments");
_Static_assert(offsetof(OaqMultiply4x4, segment_steps) == 96, "kSegmentSteps");
_Static_assert(offsetof(OaqMultiply4x4, num_blocks) == 112, "kNumBlocks");
_Static_assert(offsetof(OaqMultiply4x4, multipliers) == 128, "kMultipliers");
_Static_assert(offsetof(OaqMultiply4x4, out_stride) == 144, "kOutStride");
_Static_assert(offsetof(OaqMultiply4x4, zero_point) == 152, "kZeroPoint");
_Static_assert(offsetof(OaqMultiply4x4, limits) == 154, "kLimits");

enum { kRows = 4, kChannels = 4 };

static OaqMultiply4x4 call_of(size_t groups, const OaqDrains* drains, const OaqRows* a,
                              const int8_t* b, const int32_t* bias, void* out) {
  return (OaqMultiply4x4){.a = a->codes,
                          .group_stride = kRows * a->stride,
                          .groups = groups,
                          .out = out,
                          .row_offsets = {a->stride, 2 * a->stride, 3 * a->stride},
                          .levels = drains->levels,
                          .bias = bias,
                          .b = b,
                          .segments = a->offsets,
                          .num_segments = a->num_segments,
                          .segment_steps = a->segment_steps,
                          .blocks = drains->blocks,
                          .num_blocks = drains->num_blocks,
                          .start = drains->start};
}

static OaqRows rows_after(const OaqRows* a, size_t count) {
  OaqRows rest = *a;
  rest.codes = (const int8_t*)a->codes + count * a->stride;
  return rest;
}

static void gemm(OaqMultiply4x4Kernel multiply, size_t rows, const OaqDrains* drains,
                 const OaqRows* a, const int8_t* b, const int32_t* bias, int32_t* acc) {
  const size_t groups = rows / kRows;
  if (groups > 0) {
    const OaqMultiply4x4 call = call_of(groups, drains, a, b, bias, acc);
    multiply(&call);
  }
  const size_t done = groups * kRows;
  if (done == rows) return;
  const OaqRows rest = rows_after(a, done);
  oaq_gemm_i16_c8_4x4_neon(rows - done, drains, &rest, b, bias, acc + done * kChannels);
}

// Kernels for codes: of any tile, and of whole ones.
typedef struct Codes {
  OaqMultiply4x4Kernel* any;
  OaqMultiply4x4Kernel* whole;
} Codes;

static bool is_whole(const OaqDrains* drains, const OaqRows* a) {
  return a->num_segments == 1 && drains->num_blocks == 1 && a->segment_steps > 1 &&
         drains->start == NULL;
}

static size_t output_bits(const OaqOutputStage* stage) {
  const bool clamped = stage->requantize.lo > INT8_MIN || stage->requantize.hi < INT8_MAX;
  return (oaq_output_stage_is_signed(stage) ? OAQ_MULTIPLY_SIGNED : 0) |
         (clamped ? OAQ_MULTIPLY_CLAMPED : 0);
}

static void gemm_codes(Codes kernels, size_t rows, const OaqDrains* drains, const OaqRows* a,
                       const int8_t* b, const int32_t* bias, const OaqOutputStage* stage,
                       size_t channel, int8_t* out, size_t out_stride) {
  if (rows < kRows) {
    // Output stages read ahead.
    int32_t acc[kRows * kChannels + 16];
    oaq_gemm_i16_c8_4x4_neon(rows, drains, a, b, bias, acc);
    oaq_output_neon(stage, channel, kChannels, rows, acc, kChannels, out, out_stride);
    return;
  }
  OaqMultiply4x4 call = call_of(rows / kRows, drains, a, b, bias, out);
  call.levels |= output_bits(stage);
  call.multipliers = stage->multipliers + channel;
  call.shifts = stage->shifts + channel;
  call.out_stride = out_stride;
  call.zero_point = (int16_t)stage->requantize.zero_point;
  call.limits[0] = (int8_t)stage->requantize.lo;
  call.limits[1] = (int8_t)stage->requantize.hi;
  OaqMultiply4x4Kernel* const multiply = is_whole(drains, a) ? kernels.whole : kernels.any;
  multiply(&call);
  if (rows % kRows == 0) return;
  // What is left of rows, with some of the rows before them, which get the same codes again.
  call.a += (rows - kRows) * a->stride;
  call.groups = 1;
  call.out = out + (rows - kRows) * out_stride;
  multiply(&call);
}

#define OAQ_DEFINE_CORE(core)                                                                     \
  void oaq_gemm_i16_c8_4x4_##core(size_t rows, const OaqDrains* drains, const OaqRows* a,         \
                                  const int8_t* b, const int32_t* bias, int32_t* acc) {           \
    gemm(oaq_multiply_i16_c8_4x4_##core, rows, drains, a, b, bias, acc);                          \
  }                                                                                               \
  void oaq_gemm_i16_codes_c8_4x4_##core(size_t rows, const OaqDrains* drains, const OaqRows* a,   \
                                        const int8_t* b, const int32_t* bias,                     \
                                        const OaqOutputStage* stage, size_t channel, int8_t* out, \
                                        size_t out_stride) {                                      \
    const Codes kernels = {oaq_multiply_i16_c8_4x4_codes_##core,                                  \
                           oaq_multiply_i16_c8_4x4_whole_##core};                                 \
    gemm_codes(kernels, rows, drains, a, b, bias, stage, channel, out, out_stride);               \
  }

OAQ_DEFINE_CORE(a53)
OAQ_DEFINE_CORE(a55)
OAQ_DEFINE_CORE(a72)
