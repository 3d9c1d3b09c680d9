// SPDX-License-Identifier: Apache-2.0
// Template: the sums of ADD, in a form that compilers make vectors of for each ISA.
#ifndef OAQ_CORE_ADD_SUMS_H_
#define OAQ_CORE_ADD_SUMS_H_

#include "core/kernels.h"

// MultiplyByQuantizedMultiplier(x * 2^20, m, -shift) for x = code - zero_point in 32 bits: its
// first rounding, floor((x * 2^20 * m + 2^30) / 2^31), is that of x * m + 2^10 by 2^11, and m is
// high * 2^11 + low; its second takes halves away from zero.
static inline int32_t oaq_add_scaled(const OaqAddInput* input, int32_t code) {
  const int32_t x = code - input->zero_point;
  const int32_t high = x * input->high + ((x * input->low + (1 << 10)) >> 11);
  return (high + input->half + ((high >> 31) & -input->is_shifted)) >> input->shift;
}

static inline void oaq_add_sums(size_t count, const OaqAddInput inputs[2], const int8_t* a,
                                const int8_t* b, int32_t* sums) {
  const OaqAddInput of_a = inputs[0];
  const OaqAddInput of_b = inputs[1];
  for (size_t i = 0; i < count; ++i) {
    sums[i] = oaq_add_scaled(&of_a, a[i]) + oaq_add_scaled(&of_b, b[i]);
  }
}

#endif  // OAQ_CORE_ADD_SUMS_H_
