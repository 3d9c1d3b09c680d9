// SPDX-License-Identifier: Apache-2.0
#include "core/kernels.h"

#include <string.h>

const char* const oaq_isas[] = {"scalar"};
const size_t oaq_num_isas = sizeof(oaq_isas) / sizeof(oaq_isas[0]);

const OaqKernels* oaq_kernels_find(const char* isa) {
  if (strcmp(isa, "auto") == 0 || strcmp(isa, oaq_kernels_scalar.isa) == 0) {
    return &oaq_kernels_scalar;
  }
  return NULL;
}
