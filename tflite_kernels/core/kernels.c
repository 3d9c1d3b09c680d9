// SPDX-License-Identifier: Apache-2.0
#include "core/kernels.h"

#include <string.h>

#ifdef OAQ_ARM
#include "core/arm/kernels_arm.h"
#endif
#ifdef OAQ_X86
#include "core/x86/kernels_x86.h"
#endif

const char* const oaq_isas[] = {"scalar",  "sse41",    "avx2",    "avx512bw", "avxvnni",
                                "vnni256", "vnni",     "neon",    "a53",      "a55",
                                "a72",     "per_core", "dotprod", "i8mm"};
const size_t oaq_num_isas = sizeof(oaq_isas) / sizeof(oaq_isas[0]);

const OaqGemm* oaq_kernels_gemm(const OaqKernels* kernels, size_t channels) {
  const OaqGemm* found = &kernels->gemms[0];
  for (size_t i = 1; i < kernels->num_gemms; ++i) {
    if (channels <= kernels->gemms[i].layout->channels_per_tile) found = &kernels->gemms[i];
  }
  return found;
}

const OaqKernels* oaq_kernels_find(const char* isa) {
  const OaqKernels* found = NULL;
#ifdef OAQ_ARM
  found = oaq_kernels_arm(isa);
#endif
#ifdef OAQ_X86
  found = oaq_kernels_x86(isa);
#endif
  if (found != NULL) return found;
  const bool portable = strcmp(isa, "auto") == 0 || strcmp(isa, oaq_kernels_scalar.isa) == 0;
  return portable ? &oaq_kernels_scalar : NULL;
}
