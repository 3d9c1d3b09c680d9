// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AVX512VBMI_KERNELS_AVX512VBMI_H_
#define OAQ_CORE_AVX512VBMI_KERNELS_AVX512VBMI_H_

#include <stddef.h>
#include <stdint.h>

// x86 with AVX512-VBMI, which permutes bytes. Signature and meaning: core/kernels.h.
void oaq_look_up_avx512vbmi(const uint8_t* bytes, size_t count, const uint8_t* in, uint8_t* out);

#endif  // OAQ_CORE_AVX512VBMI_KERNELS_AVX512VBMI_H_
