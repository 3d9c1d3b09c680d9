// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AARCH64_KERNELS_AARCH64_H_
#define OAQ_CORE_AARCH64_KERNELS_AARCH64_H_

#include "core/kernels.h"

// Kernels in assembly, scheduled for one kind of core each; all read the same packed weights.
// Signatures and meaning: core/kernels.h.
#define OAQ_DECLARE_CORE(core)                                                                    \
  void oaq_gemm_i16_c8_4x4_##core(size_t rows, const OaqDrains* drains, const OaqRows* a,         \
                                  const int8_t* b, const int32_t* bias, int32_t* acc);            \
  void oaq_gemm_i16_codes_c8_4x4_##core(size_t rows, const OaqDrains* drains, const OaqRows* a,   \
                                        const int8_t* b, const int32_t* bias,                     \
                                        const OaqOutputStage* stage, size_t channel, int8_t* out, \
                                        size_t out_stride);

// Cortex-A53, A35: two instructions in order, no vector load with a multiplication.
OAQ_DECLARE_CORE(a53)

// Cortex-A55: two instructions in order, one of which may be a 64-bit vector load.
OAQ_DECLARE_CORE(a55)

// Sums by lanes of output channels, for the in-order ones: widening a lane gives four sums at once,
// where c8 adds eight lanes up. Rows of whole granules of eight steps.
void oaq_gemm_i16_broadcast_4x16_a53(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                     const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i16_broadcast_4x16_a55(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                     const int8_t* b, const int32_t* bias, int32_t* acc);
void oaq_gemm_i16_codes_broadcast_4x16_a53(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                           const int8_t* b, const int32_t* bias,
                                           const OaqOutputStage* stage, size_t channel, int8_t* out,
                                           size_t out_stride);
void oaq_gemm_i16_codes_broadcast_4x16_a55(size_t rows, const OaqDrains* drains, const OaqRows* a,
                                           const int8_t* b, const int32_t* bias,
                                           const OaqOutputStage* stage, size_t channel, int8_t* out,
                                           size_t out_stride);

// Cortex-A57, A72, A73, A75: out of order.
OAQ_DECLARE_CORE(a72)

#undef OAQ_DECLARE_CORE

#endif  // OAQ_CORE_AARCH64_KERNELS_AARCH64_H_
