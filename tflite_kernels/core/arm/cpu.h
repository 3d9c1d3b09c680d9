// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_ARM_CPU_H_
#define OAQ_CORE_ARM_CPU_H_

#include <stdbool.h>
#include <stdint.h>

// What all cores of this machine execute.
typedef struct OaqArm {
  bool neon;
  bool dotprod;  // SDOT; with neon
  bool i8mm;     // SMMLA; with dotprod
} OaqArm;

OaqArm oaq_arm(void);

// ARM's own cores, by the part number in MIDR_EL1.
enum {
  OAQ_CORTEX_A5 = 0xC05,
  OAQ_CORTEX_A7 = 0xC07,
  OAQ_CORTEX_A8 = 0xC08,
  OAQ_CORTEX_A9 = 0xC09,
  OAQ_CORTEX_A15 = 0xC0F,
  OAQ_CORTEX_A17 = 0xC0E,
  OAQ_CORTEX_A32 = 0xD01,
  OAQ_CORTEX_A53 = 0xD03,
  OAQ_CORTEX_A35 = 0xD04,
  OAQ_CORTEX_A55 = 0xD05,
  OAQ_CORTEX_A57 = 0xD07,
  OAQ_CORTEX_A72 = 0xD08,
  OAQ_CORTEX_A73 = 0xD09,
  OAQ_CORTEX_A75 = 0xD0A,
  OAQ_CORTEX_A76 = 0xD0B,
  OAQ_CORTEX_A510 = 0xD46,
};

// The part number of the core that runs this thread just now, 0 where it is not ARM's own or the
// system does not say. On a machine with cores of two kinds the next call may find the other one.
uint32_t oaq_arm_part(void);

// Whether that core issues instructions in order; true where it is not known.
bool oaq_arm_is_in_order(void);

#endif  // OAQ_CORE_ARM_CPU_H_
