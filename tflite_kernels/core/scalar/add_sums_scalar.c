// SPDX-License-Identifier: Apache-2.0
#include "core/add_sums.h"
#include "core/scalar/kernels_scalar.h"

void oaq_add_sums_scalar(size_t count, const OaqAddInput inputs[2], const int8_t* a,
                         const int8_t* b, int32_t* sums) {
  oaq_add_sums(count, inputs, a, b, sums);
}
