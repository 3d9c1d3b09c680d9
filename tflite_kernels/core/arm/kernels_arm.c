// SPDX-License-Identifier: Apache-2.0
#include "core/arm/kernels_arm.h"

#include <string.h>

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
    .add_sums = oaq_add_sums_neon,
};

static const OaqKernels kOutOfOrder = {
    .isa = "neon",
    .part_macs = 150 * 1000,
    .gemms = kOutOfOrderGemms,
    .num_gemms = 1,
    .depthwise = &oaq_depthwise_neon,
    .output = oaq_output_neon,
    .add_sums = oaq_add_sums_neon,
};

const OaqKernels* oaq_kernels_arm(const char* isa) {
  const bool found = strcmp(isa, "auto") == 0 || strcmp(isa, kInOrder.isa) == 0;
  if (!found || !oaq_arm().neon) return NULL;
  return oaq_arm_is_in_order() ? &kInOrder : &kOutOfOrder;
}
