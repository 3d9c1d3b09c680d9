// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_CPU_H_
#define OAQ_CORE_X86_CPU_H_

#include <stdbool.h>

// What this CPU executes and the operating system saves on a context switch.
typedef struct OaqX86 {
  bool sse41, avx2;
  bool avx512bw;     // with F, VL and DQ, as every CPU that has BW
  bool avx512_vnni;  // with avx512bw
  bool avx512_vbmi;  // with avx512bw
  bool avx_vnni;     // with avx2
} OaqX86;

OaqX86 oaq_x86(void);

#endif  // OAQ_CORE_X86_CPU_H_
