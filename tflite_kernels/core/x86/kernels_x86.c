// SPDX-License-Identifier: Apache-2.0
#include "core/x86/kernels_x86.h"

#include <string.h>

#include "core/avx2/depthwise_avx2.h"
#include "core/avx2/kernels_avx2.h"
#include "core/avx512bw/depthwise_avx512bw.h"
#include "core/avx512bw/kernels_avx512bw.h"
#include "core/avx512vbmi/kernels_avx512vbmi.h"
#include "core/sse41/depthwise_sse41.h"
#include "core/sse41/kernels_sse41.h"
#include "core/vnni/kernels_vnni.h"
#include "core/x86/cpu.h"

// Costs, here and in core/*/depthwise_*.c: cycles of a call of all rows, or of a column, on an
// Intel core of 2023 (family 6, model 207), the means of gcc 12 and clang 14. To measure them anew:
// `oaq_bench_kernels --rounds 300` (docs/benchmarks.md). Blocks of a single step, T = 2, cost more
// than exact sums everywhere: plan=auto never takes them, as tests/kernels_test.c makes sure.
static const OaqGemm kSse41Gemms[] = {{.layout = &oaq_layout_c4_8,
                                       .rows = 4,
                                       .shifted = true,
                                       .exact_wide = true,
                                       .i16 = oaq_gemm_i16_c4_4x8_sse41,
                                       .i32 = oaq_gemm_i32_wide_4x8_sse41,
                                       .cost = {6.6f, 9.3f, 13.6f}}};

static const OaqKernels kSse41 = {
    .isa = "sse41",
    .part_macs = 400 * 1000,
    .gemms = kSse41Gemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_sse41,
    .output = oaq_output_sse41,
};

static const OaqGemm kAvx2Gemms[] = {{.layout = &oaq_layout_c4_16,
                                      .rows = 6,
                                      .shifted = true,
                                      .exact_wide = true,
                                      .i16 = oaq_gemm_i16_c4_6x16_avx2,
                                      .i32 = oaq_gemm_i32_wide_6x16_avx2,
                                      .cost = {8.4f, 9.6f, 17.0f}}};

static const OaqKernels kAvx2 = {
    .isa = "avx2",
    .part_macs = 800 * 1000,
    .gemms = kAvx2Gemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_avx2,
    .output = oaq_output_avx2,
};

static const OaqGemm kAvx512bwGemms[] = {{.layout = &oaq_layout_c4_32,
                                          .rows = 8,
                                          .shifted = true,
                                          .exact_wide = true,
                                          .i16 = oaq_gemm_i16_c4_8x32_avx512bw,
                                          .i32 = oaq_gemm_i32_wide_8x32_avx512bw,
                                          .cost = {15.9f, 19.0f, 31.9f}},
                                         {.layout = &oaq_layout_c4_16,
                                          .rows = 12,
                                          .shifted = true,
                                          .exact_wide = true,
                                          .i16 = oaq_gemm_i16_c4_12x16_avx512bw,
                                          .i32 = oaq_gemm_i32_wide_12x16_avx512bw,
                                          .cost = {12.1f, 14.9f, 24.4f}}};

static const OaqKernels kAvx512bw = {
    .isa = "avx512bw",
    .part_macs = 1200 * 1000,
    .gemms = kAvx512bwGemms,
    .num_gemms = 2,
    .depthwise = &oaq_depthwise_avx512bw,
    .output = oaq_output_avx512bw,
};

static const OaqGemm kVnniGemms[] = {
    {.layout = &oaq_layout_c4_32, .rows = 8, .shifted = true, .i32 = oaq_gemm_i32_c4_8x32_vnni},
    {.layout = &oaq_layout_c4_16, .rows = 12, .shifted = true, .i32 = oaq_gemm_i32_c4_12x16_vnni}};

// Nearly all CPUs with AVX512-VNNI have VBMI besides.
#define OAQ_VNNI(name, found)               \
  static const OaqKernels name = {          \
      .isa = "vnni",                        \
      .part_macs = 1000 * 1000,             \
      .gemms = kVnniGemms,                  \
      .num_gemms = 2,                       \
      .depthwise = &oaq_depthwise_avx512bw, \
      .output = oaq_output_avx512bw,        \
      .look_up = found,                     \
  }

OAQ_VNNI(kVnni, NULL);
OAQ_VNNI(kVnniVbmi, oaq_look_up_avx512vbmi);

static const OaqGemm kVnni256Gemms[] = {
    {.layout = &oaq_layout_c4_16, .rows = 6, .shifted = true, .i32 = oaq_gemm_i32_c4_6x16_vnni256}};

static const OaqKernels kVnni256 = {
    .isa = "vnni256",
    .part_macs = 1500 * 1000,
    .gemms = kVnni256Gemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_avx2,
    .output = oaq_output_avx2,
};

#ifdef OAQ_HAS_AVX_VNNI
static const OaqGemm kAvxVnniGemms[] = {
    {.layout = &oaq_layout_c4_16, .rows = 6, .shifted = true, .i32 = oaq_gemm_i32_c4_6x16_avxvnni}};

static const OaqKernels kAvxVnni = {
    .isa = "avxvnni",
    .part_macs = 1500 * 1000,
    .gemms = kAvxVnniGemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_avx2,
    .output = oaq_output_avx2,
};
#endif

const OaqKernels* oaq_kernels_x86(const char* isa) {
  const OaqX86 cpu = oaq_x86();
  // The best first.
  const struct {
    const OaqKernels* kernels;
    bool available;
  } kAll[] = {
      {&kVnniVbmi, cpu.avx512_vnni && cpu.avx512_vbmi},
      {&kVnni, cpu.avx512_vnni},
      {&kVnni256, cpu.avx512_vnni},
#ifdef OAQ_HAS_AVX_VNNI
      {&kAvxVnni, cpu.avx_vnni},
#endif
      {&kAvx512bw, cpu.avx512bw},
      {&kAvx2, cpu.avx2},
      {&kSse41, cpu.sse41},
  };
  const bool any = strcmp(isa, "auto") == 0;
  for (size_t i = 0; i < sizeof(kAll) / sizeof(kAll[0]); ++i) {
    if (kAll[i].available && (any || strcmp(isa, kAll[i].kernels->isa) == 0)) {
      return kAll[i].kernels;
    }
  }
  return NULL;
}
