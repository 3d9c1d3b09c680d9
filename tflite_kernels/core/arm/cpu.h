// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_ARM_CPU_H_
#define OAQ_CORE_ARM_CPU_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// What all cores of this machine execute.
typedef struct OaqArm {
  bool neon;
  bool dotprod;  // SDOT; with neon
  bool i8mm;     // SMMLA; with dotprod
} OaqArm;

OaqArm oaq_arm(void);

// Kinds of cores, by the schedule that suits them: bits, so that a chip is a set of them.
typedef enum OaqArmKind {
  OAQ_ARM_A53 = 1,    // two instructions in order, no vector load with a multiplication
  OAQ_ARM_A55 = 2,    // two instructions in order, one of which may be a vector load
  OAQ_ARM_A72 = 4,    // out of order
  OAQ_ARM_OTHER = 8,  // not known: any of them
} OaqArmKind;

// Of a core, by its main ID register, MIDR.
OaqArmKind oaq_arm_kind(uint32_t midr);

// Of all cores that a /proc/cpuinfo lists; 0 where it names none. `cores` is how many there are:
// OAQ_ARM_OTHER is among the kinds where it lists fewer, for some are off.
unsigned oaq_arm_kinds_in(FILE* cpuinfo, long cores);

// Of all cores of this machine. Where the system does not list them, of the one that runs this
// thread.
unsigned oaq_arm_kinds(void);

// Of the core that runs this thread just now, as long as an exception takes: the kernel answers.
// OAQ_ARM_OTHER where it does not say.
OaqArmKind oaq_arm_kind_of_this_core(void);

#endif  // OAQ_CORE_ARM_CPU_H_
