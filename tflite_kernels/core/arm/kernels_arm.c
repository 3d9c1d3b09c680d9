// SPDX-License-Identifier: Apache-2.0
#include "core/arm/kernels_arm.h"

#include <string.h>

#ifdef OAQ_ASSEMBLY
#include "core/aarch64/kernels_aarch64.h"
#endif
#include "core/arm/cpu.h"
#include "core/neon/depthwise_neon.h"
#include "core/neon/kernels_neon.h"

// Costs: cycles of a call of all rows, of gcc 12's code.
#ifdef __aarch64__
#define OAQ_NEON_ROWS 4
#define OAQ_NEON_KERNEL(name) oaq_gemm_##name##_c8_4x4_neon
// On a model of Cortex-A53's issue rules, where a load of 64 bits takes a cycle and pairs with no
// multiplication, and SADDLP and SADALP take two: sixteen products and eight loads a step; SADDLP,
// ADDP and start values for a drain; half of SMULL, SMLAL, SADALP and the loads of two steps.
#define OAQ_IN_ORDER_COST {26.0f, 60.0f, 42.0f}
// llvm-mca -mcpu=cortex-a57 has one product a cycle bound all of them, and SADALP free beside them;
// kernels like the exact one were measured to reach 6.2 of 8 products a cycle on that core.
#define OAQ_OUT_OF_ORDER_COST {16.1f, 9.0f, 20.6f}
#else
#define OAQ_NEON_ROWS 2
#define OAQ_NEON_KERNEL(name) oaq_gemm_##name##_c8_2x4_neon
// From the same counts for eight products and six loads a step.
#define OAQ_IN_ORDER_COST {15.0f, 34.0f, 23.0f}
#define OAQ_OUT_OF_ORDER_COST {8.3f, 9.0f, 10.6f}
#endif

static const OaqGemm kInOrderGemms[] = {{.layout = &oaq_layout_c8,
                                         .rows = OAQ_NEON_ROWS,
                                         .i16 = OAQ_NEON_KERNEL(i16),
                                         .i32 = OAQ_NEON_KERNEL(i32),
                                         .i32_pairs = OAQ_NEON_KERNEL(i32_pairs),
                                         .cost = OAQ_IN_ORDER_COST}};

static const OaqGemm kOutOfOrderGemms[] = {{.layout = &oaq_layout_c8,
                                            .rows = OAQ_NEON_ROWS,
                                            .i16 = OAQ_NEON_KERNEL(i16),
                                            .i32 = OAQ_NEON_KERNEL(i32),
                                            .i32_pairs = OAQ_NEON_KERNEL(i32_pairs),
                                            .cost = OAQ_OUT_OF_ORDER_COST}};

// The same kernels, planned for either kind of core.
static const OaqKernels kInOrder = {
    .isa = "neon",
    .part_macs = 100 * 1000,
    .gemms = kInOrderGemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_neon,
    .output = oaq_output_neon,
};

static const OaqKernels kOutOfOrder = {
    .isa = "neon",
    .part_macs = 150 * 1000,
    .gemms = kOutOfOrderGemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_neon,
    .output = oaq_output_neon,
};

#ifdef OAQ_ASSEMBLY
// Cycles of a call of four rows, of the assembly on models of the cores: a step (make bench-arm), a
// drain with what a block adds to it, simulated instruction by instruction; exact as above.
#define OAQ_CORE(core, Core, step, drain, exact)                                         \
  static const OaqGemm k##Core##Gemms[] = {{.layout = &oaq_layout_c8,                    \
                                            .rows = 4,                                   \
                                            .i16 = oaq_gemm_i16_c8_4x4_##core,           \
                                            .i32 = oaq_gemm_i32_c8_4x4_neon,             \
                                            .i32_pairs = oaq_gemm_i32_pairs_c8_4x4_neon, \
                                            .cost = {step, drain, exact}}};              \
  static const OaqKernels k##Core = {.isa = #core,                                       \
                                     .part_macs = 100 * 1000,                            \
                                     .gemms = k##Core##Gemms,                            \
                                     .num_gemms = 1,                                     \
                                     .depthwise = &oaq_depthwise_a53,                    \
                                     .output = oaq_output_neon}

OAQ_CORE(a53, A53, 20.0f, 54.0f, 42.0f);
OAQ_CORE(a55, A55, 16.0f, 52.0f, 42.0f);
OAQ_CORE(a72, A72, 16.0f, 12.0f, 20.6f);

// Which of them this core is for. On a chip of two kinds a thread may meet the other one: the
// schedule for in-order cores costs the others nothing, whose limit is the multiplier.
static const OaqKernels* of_this_core(void) {
  const uint32_t part = oaq_arm_part();
  if (part == OAQ_CORTEX_A55 || part == OAQ_CORTEX_A510) return &kA55;
  return oaq_arm_is_in_order() ? &kA53 : &kA72;
}
#endif

#ifdef __aarch64__
// The layout is for its order alone: nothing is summed in 16 bits.
static const OaqGemm kDotprodGemms[] = {
    {.layout = &oaq_layout_c4_8, .rows = 8, .i32 = oaq_gemm_i32_c4_8x8_dotprod}};
static const OaqKernels kDotprod = {.isa = "dotprod",
                                    .part_macs = 400 * 1000,
                                    .gemms = kDotprodGemms,
                                    .num_gemms = 1,
                                    .depthwise = &oaq_depthwise_neon,
                                    .output = oaq_output_neon};
#endif

const OaqKernels* oaq_kernels_arm(const char* isa) {
  if (!oaq_arm().neon) return NULL;
  const bool any = strcmp(isa, "auto") == 0;
#ifdef __aarch64__
  const bool dotprod = oaq_arm().dotprod;
  if (dotprod && (any || strcmp(isa, kDotprod.isa) == 0)) return &kDotprod;
#endif
#ifdef OAQ_ASSEMBLY
  if (any) return of_this_core();
  static const OaqKernels* const kCores[] = {&kA53, &kA55, &kA72};
  for (size_t i = 0; i < sizeof(kCores) / sizeof(kCores[0]); ++i) {
    if (strcmp(isa, kCores[i]->isa) == 0) return kCores[i];
  }
#endif
  if (!any && strcmp(isa, kInOrder.isa) != 0) return NULL;
  return oaq_arm_is_in_order() ? &kInOrder : &kOutOfOrder;
}
