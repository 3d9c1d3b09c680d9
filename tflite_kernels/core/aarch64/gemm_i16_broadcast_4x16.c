// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/aarch64/kernels_aarch64.h"
#include "core/aarch64/multiply_i16_broadcast_4x16.h"
#include "core/size.h"

// As multiply_i16_broadcast_4x16.inc has them.
_Static_assert(offsetof(OaqMultiply4x16, a) == 0, "kA");
_Static_assert(offsetof(OaqMultiply4x16, groups) == 16, "kGroups");
_Static_assert(offsetof(OaqMultiply4x16, row_offsets) == 32, "kRowOffsets");
_Static_assert(offsetof(OaqMultiply4x16, out_stride) == 56, "kOutStride");
_Static_assert(offsetof(OaqMultiply4x16, bias) == 64, "kBias");
_Static_assert(offsetof(OaqMultiply4x16, b) == 72, "kBias + 8");
_Static_assert(offsetof(OaqMultiply4x16, segments) == 80, "kSegments");
_Static_assert(offsetof(OaqMultiply4x16, segment_granules) == 96, "kSegmentGranules");
_Static_assert(offsetof(OaqMultiply4x16, first_steps) == 104, "kFirstSteps");
_Static_assert(offsetof(OaqMultiply4x16, multipliers) == 112, "kMultipliers");
_Static_assert(offsetof(OaqMultiply4x16, shifts) == 120, "kShifts");
_Static_assert(offsetof(OaqMultiply4x16, is_signed) == 128, "kIsSigned");
_Static_assert(offsetof(OaqMultiply4x16, zero_point) == 136, "kZeroPoint");
_Static_assert(offsetof(OaqMultiply4x16, is_clamped) == 144, "kIsClamped");
_Static_assert(offsetof(OaqMultiply4x16, lo) == 152, "kLimits");

typedef void (*Multiply)(const OaqMultiply4x16* call);

enum { kRows = 4, kChannels = 16 };

static OaqMultiply4x16 call_of(const OaqDrains* drains, const OaqRows* a, const int8_t* b,
                               const int32_t* bias) {
  return (OaqMultiply4x16){.a = a->codes,
                           .row_offsets = {a->stride, 2 * a->stride, 3 * a->stride},
                           .group_stride = kRows * a->stride,
                           .segments = a->offsets,
                           .num_segments = a->num_segments,
                           .segment_granules = a->segment_steps / 8,
                           .first_steps = drains->first_steps,
                           .b = (const void*)b,
                           .bias = bias};
}

// Sends the call to fewer than four rows: the last one stands in for those that there are not.
static void take_last_rows(const OaqRows* a, size_t rows, size_t done, OaqMultiply4x16* call) {
  call->a = (const int8_t*)a->codes + done * a->stride;
  call->groups = 1;
  for (size_t i = 0; i < kRows - 1; ++i) {
    call->row_offsets[i] = oaq_min_size(i + 1, rows - done - 1) * a->stride;
  }
}

static void gemm(Multiply multiply, size_t rows, const OaqDrains* drains, const OaqRows* a,
                 const int8_t* b, const int32_t* bias, int32_t* acc) {
  OaqMultiply4x16 call = call_of(drains, a, b, bias);
  call.groups = rows / kRows;
  call.out = acc;
  if (call.groups > 0) multiply(&call);
  const size_t done = call.groups * kRows;
  if (done == rows) return;
  int32_t sums[kRows * kChannels];
  take_last_rows(a, rows, done, &call);
  call.out = sums;
  multiply(&call);
  memcpy(acc + done * kChannels, sums, (rows - done) * kChannels * sizeof(*sums));
}

static void gemm_codes(Multiply multiply, size_t rows, const OaqDrains* drains, const OaqRows* a,
                       const int8_t* b, const int32_t* bias, const OaqOutputStage* stage,
                       size_t channel, int8_t* out, size_t out_stride) {
  OaqMultiply4x16 call = call_of(drains, a, b, bias);
  call.groups = rows / kRows;
  call.out = out;
  call.out_stride = out_stride;
  call.multipliers = stage->multipliers + channel;
  call.shifts = stage->shifts + channel;
  call.is_signed = oaq_output_stage_is_signed(stage);
  call.zero_point = stage->requantize.zero_point;
  call.is_clamped = stage->requantize.lo > INT8_MIN || stage->requantize.hi < INT8_MAX;
  call.lo = stage->requantize.lo;
  call.hi = stage->requantize.hi;
  if (call.groups > 0) multiply(&call);
  const size_t done = call.groups * kRows;
  if (done == rows) return;
  int8_t codes[kRows * kChannels];
  take_last_rows(a, rows, done, &call);
  call.out = codes;
  call.out_stride = kChannels;
  multiply(&call);
  for (size_t m = done; m < rows; ++m) {
    memcpy(out + m * out_stride, codes + (m - done) * kChannels, kChannels);
  }
}

void oaq_gemm_i16_broadcast_4x16_a53(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                     const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm(oaq_multiply_i16_broadcast_4x16_a53, rows, drains, a, b, bias, acc);
}

void oaq_gemm_i16_broadcast_4x16_a55(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                     const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm(oaq_multiply_i16_broadcast_4x16_a55, rows, drains, a, b, bias, acc);
}

void oaq_gemm_i16_codes_broadcast_4x16_a53(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                           const int8_t* b, const int32_t* bias,
                                           const OaqOutputStage* stage, size_t channel, int8_t* out,
                                           size_t out_stride) {
  gemm_codes(oaq_multiply_i16_broadcast_4x16_a53, rows, drains, a, b, bias, stage, channel, out,
             out_stride);
}

void oaq_gemm_i16_codes_broadcast_4x16_a55(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                           const int8_t* b, const int32_t* bias,
                                           const OaqOutputStage* stage, size_t channel, int8_t* out,
                                           size_t out_stride) {
  gemm_codes(oaq_multiply_i16_broadcast_4x16_a55, rows, drains, a, b, bias, stage, channel, out,
             out_stride);
}
