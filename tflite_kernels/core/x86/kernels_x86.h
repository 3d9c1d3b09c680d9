// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_KERNELS_X86_H_
#define OAQ_CORE_X86_KERNELS_X86_H_

#include "core/kernels.h"

// The kernels for x86, by name; NULL where this CPU or this build lacks them. "auto": the best.
const OaqKernels* oaq_kernels_x86(const char* isa);

#endif  // OAQ_CORE_X86_KERNELS_X86_H_
