// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_ARM_KERNELS_ARM_H_
#define OAQ_CORE_ARM_KERNELS_ARM_H_

#include "core/kernels.h"

// The kernels for ARM, by name; NULL where this CPU or this build lacks them. "auto": the best.
const OaqKernels* oaq_kernels_arm(const char* isa);

// The best ones for a chip with NEON and no dot products, by the kinds of its cores
// (core/arm/cpu.h), 1 or more.
const OaqKernels* oaq_kernels_arm_of(unsigned kinds);

#endif  // OAQ_CORE_ARM_KERNELS_ARM_H_
