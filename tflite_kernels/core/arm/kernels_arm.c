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
#define OAQ_LOOK_UP oaq_look_up_neon
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
#define OAQ_LOOK_UP NULL
#define OAQ_NEON_KERNEL(name) oaq_gemm_##name##_c8_2x4_neon
// The compiled loops, and a block's way around them, on the same model (bench/in_order_arm32.py),
// and by llvm-mca -mcpu=cortex-a9, its model of A15 and A17 too; by its A57 either path costs the
// same.
#define OAQ_IN_ORDER_COST {17.0f, 48.0f, 26.0f}
#define OAQ_OUT_OF_ORDER_COST {10.5f, 37.0f, 17.5f}
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
    .look_up = OAQ_LOOK_UP,
};

static const OaqKernels kOutOfOrder = {
    .isa = "neon",
    .part_macs = 150 * 1000,
    .gemms = kOutOfOrderGemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_neon,
    .output = oaq_output_neon,
    .look_up = OAQ_LOOK_UP,
};

#ifdef OAQ_ASSEMBLY
// Cycles of a call of four rows, of the assembly on models of the cores: a step (make bench-arm); a
// drain of no levels with what a block adds to it; exact as above; what reducing exact sums and the
// output stage of sums in memory take, less the output stage of sums in registers.
#define OAQ_CORE(name, Name, core, other, filters, found, step, drain, exact, end, more)   \
  static const OaqGemm k##Name##Gemms[] = {{.layout = &oaq_layout_c8,                      \
                                            .rows = 4,                                     \
                                            .i16 = oaq_gemm_i16_c8_4x4_##core,             \
                                            .i16_codes = oaq_gemm_i16_codes_c8_4x4_##core, \
                                            .i32 = oaq_gemm_i32_c8_4x4_neon,               \
                                            .i32_pairs = oaq_gemm_i32_pairs_c8_4x4_neon,   \
                                            .cost = {step, drain, exact},                  \
                                            .int16_end = end,                              \
                                            .exact_end = more,                             \
                                            .of_this_core = found}};                       \
  static const OaqKernels k##Name = {.isa = #name,                                         \
                                     .part_macs = 100 * 1000,                              \
                                     .gemms = k##Name##Gemms,                              \
                                     .num_gemms = 1,                                       \
                                     .broadcast = other,                                   \
                                     .depthwise = &oaq_depthwise_##filters,                \
                                     .output = oaq_output_neon,                            \
                                     .look_up = OAQ_LOOK_UP}

#define OAQ_BROADCAST(core, Core, step, drain, end)          \
  static const OaqGemm k##Core##Broadcast = {                \
      .layout = &oaq_layout_broadcast,                       \
      .rows = 4,                                             \
      .i16_wide = true,                                      \
      .i16 = oaq_gemm_i16_broadcast_4x16_##core,             \
      .i16_codes = oaq_gemm_i16_codes_broadcast_4x16_##core, \
      .cost = {step, drain, 1e30f},                          \
      .int16_end = end}
OAQ_BROADCAST(a53, A53, 10.75f, 17.0f, 120.0f);
OAQ_BROADCAST(a55, A55, 9.0f, 17.0f, 105.0f);

OAQ_CORE(a53, A53, a53, &kA53Broadcast, a53, NULL, 20.0f, 50.0f, 42.0f, 22.0f, 97.0f);
OAQ_CORE(a55, A55, a55, &kA55Broadcast, a53, NULL, 16.0f, 50.0f, 40.0f, 24.0f, 90.0f);
OAQ_CORE(a72, A72, a72, NULL, neon, NULL, 16.0f, 12.0f, 20.6f, 24.0f, 20.0f);

// A53's schedule costs bigger cores next to nothing.
static const OaqKernels* of_kind(OaqArmKind kind) {
  return kind == OAQ_ARM_A72 ? &kA72 : kind == OAQ_ARM_A55 ? &kA55 : &kA53;
}

static const OaqGemm* c8_of_this_core(void) { return of_kind(oaq_arm_kind_of_this_core())->gemms; }

// For chips of several kinds, and for cores that are not known. The plan is A53's, whose costs take
// int16 for blocks of three steps and more, as those of A55 and A72 do. No family is packed for
// in-order cores alone.
OAQ_CORE(per_core, PerCore, a53, NULL, a53, c8_of_this_core, 20.0f, 50.0f, 42.0f, 22.0f, 97.0f);
#endif

#ifdef __aarch64__
// Layouts are for their order alone: nothing is summed in 16 bits.
static const OaqGemm kDotprodGemms[] = {
    {.layout = &oaq_layout_c4_8, .rows = 8, .i32 = oaq_gemm_i32_c4_8x8_dotprod}};
static const OaqKernels kDotprod = {.isa = "dotprod",
                                    .part_macs = 400 * 1000,
                                    .gemms = kDotprodGemms,
                                    .num_gemms = 1,
                                    .depthwise = &oaq_depthwise_neon,
                                    .output = oaq_output_neon,
                                    .look_up = OAQ_LOOK_UP};

static const OaqGemm kI8mmGemms[] = {
    {.layout = &oaq_layout_c8_8, .rows = 8, .i32 = oaq_gemm_i32_c8_8x8_i8mm}};
static const OaqKernels kI8mm = {.isa = "i8mm",
                                 .part_macs = 400 * 1000,
                                 .gemms = kI8mmGemms,
                                 .num_gemms = 1,
                                 .depthwise = &oaq_depthwise_neon,
                                 .output = oaq_output_neon,
                                 .look_up = OAQ_LOOK_UP};
#endif

const OaqKernels* oaq_kernels_arm_of(unsigned kinds) {
#ifdef OAQ_ASSEMBLY
  // What a core that is not known multiplies slowly is not packed for.
  const bool one = (kinds & (kinds - 1)) == 0 && kinds != OAQ_ARM_OTHER;
  return one ? of_kind((OaqArmKind)kinds) : &kPerCore;
#else
  return kinds == OAQ_ARM_A72 ? &kOutOfOrder : &kInOrder;
#endif
}

const OaqKernels* oaq_kernels_arm(const char* isa) {
  if (!oaq_arm().neon) return NULL;
  const bool any = strcmp(isa, "auto") == 0;
#ifdef __aarch64__
  const OaqArm cpu = oaq_arm();
  if (cpu.i8mm && (any || strcmp(isa, kI8mm.isa) == 0)) return &kI8mm;
  if (cpu.dotprod && (any || strcmp(isa, kDotprod.isa) == 0)) return &kDotprod;
#endif
  if (any) return oaq_kernels_arm_of(oaq_arm_kinds());
#ifdef OAQ_ASSEMBLY
  static const OaqKernels* const kCores[] = {&kA53, &kA55, &kA72, &kPerCore};
  for (size_t i = 0; i < sizeof(kCores) / sizeof(kCores[0]); ++i) {
    if (strcmp(isa, kCores[i]->isa) == 0) return kCores[i];
  }
#endif
  if (strcmp(isa, kInOrder.isa) != 0) return NULL;
  return oaq_arm_kinds() == OAQ_ARM_A72 ? &kOutOfOrder : &kInOrder;
}
