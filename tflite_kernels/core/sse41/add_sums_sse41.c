// SPDX-License-Identifier: Apache-2.0
#include "core/add_sums.h"
#include "core/sse41/kernels_sse41.h"

void oaq_add_sums_sse41(size_t count, const OaqAddInput inputs[2], const int8_t* a, const int8_t* b,
                        int32_t* sums) {
  oaq_add_sums(count, inputs, a, b, sums);
}
