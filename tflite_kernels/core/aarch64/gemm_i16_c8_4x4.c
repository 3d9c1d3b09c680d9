// SPDX-License-Identifier: Apache-2.0
#include "core/aarch64/kernels_aarch64.h"
#include "core/aarch64/multiply_i16_c8_4x4.h"
#include "core/neon/kernels_neon.h"

// As multiply_i16_c8_4x4.inc has them.
_Static_assert(offsetof(OaqMultiply4x4, groups) == 16, "kGroups");
_Static_assert(offsetof(OaqMultiply4x4, row_offsets) == 32, "kRowOffsets");
_Static_assert(offsetof(OaqMultiply4x4, levels) == 56, "kLevels");
_Static_assert(offsetof(OaqMultiply4x4, bias) == 64, "kBias");
_Static_assert(offsetof(OaqMultiply4x4, b) == 72, "kB");
_Static_assert(offsetof(OaqMultiply4x4, segments) == 80, "kSegments");
_Static_assert(offsetof(OaqMultiply4x4, segment_steps) == 96, "kSegmentSteps");
_Static_assert(offsetof(OaqMultiply4x4, num_blocks) == 112, "kNumBlocks");

typedef void (*Multiply)(const OaqMultiply4x4* call);

enum { kRows = 4, kChannels = 4 };

static void gemm(Multiply multiply, size_t rows, const OaqDrains* drains, const OaqRows* a,
                 const int8_t* b, const int32_t* bias, int32_t* acc) {
  const size_t groups = rows / kRows;
  if (groups > 0) {
    const OaqMultiply4x4 call = {.a = a->codes,
                                 .row_offsets = {a->stride, 2 * a->stride, 3 * a->stride},
                                 .group_stride = kRows * a->stride,
                                 .groups = groups,
                                 .segments = a->offsets,
                                 .num_segments = a->num_segments,
                                 .segment_steps = a->segment_steps,
                                 .blocks = drains->blocks,
                                 .num_blocks = drains->num_blocks,
                                 .start = drains->start,
                                 .levels = drains->levels,
                                 .b = b,
                                 .bias = bias,
                                 .acc = acc};
    multiply(&call);
  }
  const size_t done = groups * kRows;
  if (done == rows) return;
  OaqRows rest = *a;
  rest.codes = (const int8_t*)a->codes + done * a->stride;
  oaq_gemm_i16_c8_4x4_neon(rows - done, drains, &rest, b, bias, acc + done * kChannels);
}

void oaq_gemm_i16_c8_4x4_a53(size_t rows, const OaqDrains* drains, const OaqRows* a,
                             const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm(oaq_multiply_i16_c8_4x4_a53, rows, drains, a, b, bias, acc);
}

void oaq_gemm_i16_c8_4x4_a55(size_t rows, const OaqDrains* drains, const OaqRows* a,
                             const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm(oaq_multiply_i16_c8_4x4_a55, rows, drains, a, b, bias, acc);
}

void oaq_gemm_i16_c8_4x4_a72(size_t rows, const OaqDrains* drains, const OaqRows* a,
                             const int8_t* b, const int32_t* bias, int32_t* acc) {
  gemm(oaq_multiply_i16_c8_4x4_a72, rows, drains, a, b, bias, acc);
}
