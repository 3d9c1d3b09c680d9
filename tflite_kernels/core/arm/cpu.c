// SPDX-License-Identifier: Apache-2.0
#ifdef __linux__
// For sched_getcpu.
#define _GNU_SOURCE
#endif

#include "core/arm/cpu.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef __linux__
#include <sched.h>
#include <sys/auxv.h>

// Bits of AT_HWCAP and AT_HWCAP2, as the kernel's uapi/asm/hwcap.h has them: older C libraries lack
// some.
#ifdef __aarch64__
enum { kAsimd = 1 << 1, kCpuid = 1 << 11, kAsimdDp = 1 << 20 };
enum { kI8mm2 = 1 << 13 };

OaqArm oaq_arm(void) {
  const unsigned long features = getauxval(AT_HWCAP);
  OaqArm cpu = {.neon = (features & kAsimd) != 0};
  cpu.dotprod = cpu.neon && (features & kAsimdDp) != 0;
  cpu.i8mm = cpu.dotprod && (getauxval(AT_HWCAP2) & kI8mm2) != 0;
  return cpu;
}

// The kernel answers for the register, which user space may not read, where it says so.
static bool read_register(uint64_t* midr) {
  if ((getauxval(AT_HWCAP) & kCpuid) == 0) return false;
  __asm__ volatile("mrs %0, midr_el1" : "=r"(*midr));
  return true;
}
#else
enum { kNeon = 1 << 12, kAsimdDp = 1 << 24, kI8mm = 1 << 27 };

OaqArm oaq_arm(void) {
  const unsigned long features = getauxval(AT_HWCAP);
  OaqArm cpu = {.neon = (features & kNeon) != 0};
  cpu.dotprod = cpu.neon && (features & kAsimdDp) != 0;
  cpu.i8mm = cpu.dotprod && (features & kI8mm) != 0;
  return cpu;
}

static bool read_register(uint64_t* midr) {
  (void)midr;
  return false;
}
#endif

static bool read_file(uint64_t* midr) {
  const int core = sched_getcpu();
  if (core < 0) return false;
  char path[96];
  snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/regs/identification/midr_el1", core);
  FILE* file = fopen(path, "r");
  if (file == NULL) return false;
  char text[32] = "";
  char* end = text;
  if (fgets(text, sizeof(text), file) != NULL) *midr = strtoull(text, &end, 16);
  fclose(file);
  return end != text;
}

uint32_t oaq_arm_part(void) {
  enum { kArm = 0x41 };
  uint64_t midr = 0;
  if (!read_register(&midr) && !read_file(&midr)) return 0;
  return (midr >> 24 & 0xFF) == kArm ? (uint32_t)(midr >> 4 & 0xFFF) : 0;
}
#else
// Systems that run on nothing without NEON, and do not say on which core.
OaqArm oaq_arm(void) {
  OaqArm cpu = {0};
#ifdef __ARM_NEON
  cpu.neon = true;
#endif
#ifdef __ARM_FEATURE_DOTPROD
  cpu.dotprod = true;
#endif
#ifdef __ARM_FEATURE_MATMUL_INT8
  cpu.i8mm = true;
#endif
  return cpu;
}

uint32_t oaq_arm_part(void) { return 0; }
#endif

bool oaq_arm_is_in_order(void) {
  switch (oaq_arm_part()) {
    case OAQ_CORTEX_A9:
    case OAQ_CORTEX_A15:
    case OAQ_CORTEX_A17:
    case OAQ_CORTEX_A57:
    case OAQ_CORTEX_A72:
    case OAQ_CORTEX_A73:
    case OAQ_CORTEX_A75:
    case OAQ_CORTEX_A76:
      return false;
    default:
      return true;
  }
}
