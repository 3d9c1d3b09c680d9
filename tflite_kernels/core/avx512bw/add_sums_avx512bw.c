// SPDX-License-Identifier: Apache-2.0
#include "core/add_sums.h"
#include "core/avx512bw/kernels_avx512bw.h"

void oaq_add_sums_avx512bw(size_t count, const OaqAddInput inputs[2], const int8_t* a,
                           const int8_t* b, int32_t* sums) {
  oaq_add_sums(count, inputs, a, b, sums);
}
