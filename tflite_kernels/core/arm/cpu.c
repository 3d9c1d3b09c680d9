// SPDX-License-Identifier: Apache-2.0
#include "core/arm/cpu.h"

#include <stddef.h>

#ifdef __linux__
#include <sys/auxv.h>
#include <unistd.h>

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
OaqArmKind oaq_arm_kind_of_this_core(void) {
  if ((getauxval(AT_HWCAP) & kCpuid) == 0) return OAQ_ARM_OTHER;
  uint64_t midr = 0;
  // Volatile: the next call may run on another core.
  __asm__ volatile("mrs %0, midr_el1" : "=r"(midr));
  return oaq_arm_kind((uint32_t)midr);
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

OaqArmKind oaq_arm_kind_of_this_core(void) { return OAQ_ARM_OTHER; }
#endif

// All kernels list the cores here, also to 32-bit programs and to apps on Android; the registers
// under /sys are for 64-bit ones alone.
unsigned oaq_arm_kinds(void) {
  FILE* cpuinfo = fopen("/proc/cpuinfo", "r");
  const unsigned kinds =
      cpuinfo != NULL ? oaq_arm_kinds_in(cpuinfo, sysconf(_SC_NPROCESSORS_CONF)) : 0;
  if (cpuinfo != NULL) fclose(cpuinfo);
  return kinds != 0 ? kinds : oaq_arm_kind_of_this_core();
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

OaqArmKind oaq_arm_kind_of_this_core(void) { return OAQ_ARM_OTHER; }

unsigned oaq_arm_kinds(void) { return OAQ_ARM_OTHER; }
#endif

// Implementers and parts, as MIDR has them.
enum { kArm = 0x41, kQualcomm = 0x51, kSamsung = 0x53 };
#define OAQ_PART(implementer, part) ((uint32_t)(implementer) << 12 | (part))

static uint32_t implementer_and_part(uint32_t midr) {
  return OAQ_PART(midr >> 24, midr >> 4 & 0xFFF);
}

OaqArmKind oaq_arm_kind(uint32_t midr) {
  switch (implementer_and_part(midr)) {
    case OAQ_PART(kArm, 0xC05):       // Cortex-A5
    case OAQ_PART(kArm, 0xC07):       // Cortex-A7
    case OAQ_PART(kArm, 0xC08):       // Cortex-A8
    case OAQ_PART(kArm, 0xD01):       // Cortex-A32
    case OAQ_PART(kArm, 0xD02):       // Cortex-A34
    case OAQ_PART(kArm, 0xD03):       // Cortex-A53
    case OAQ_PART(kArm, 0xD04):       // Cortex-A35
    case OAQ_PART(kQualcomm, 0x801):  // Kryo 2xx Silver, an A53
      return OAQ_ARM_A53;
    case OAQ_PART(kArm, 0xD05):       // Cortex-A55
    case OAQ_PART(kArm, 0xD46):       // Cortex-A510
    case OAQ_PART(kArm, 0xD80):       // Cortex-A520
    case OAQ_PART(kQualcomm, 0x803):  // Kryo 3xx Silver, an A55
    case OAQ_PART(kQualcomm, 0x805):  // Kryo 4xx Silver, an A55
      return OAQ_ARM_A55;
    case OAQ_PART(kArm, 0xC09):       // Cortex-A9
    case OAQ_PART(kArm, 0xC0D):       // Cortex-A12
    case OAQ_PART(kArm, 0xC0E):       // Cortex-A17
    case OAQ_PART(kArm, 0xC0F):       // Cortex-A15
    case OAQ_PART(kArm, 0xD07):       // Cortex-A57
    case OAQ_PART(kArm, 0xD08):       // Cortex-A72
    case OAQ_PART(kArm, 0xD09):       // Cortex-A73
    case OAQ_PART(kArm, 0xD0A):       // Cortex-A75
    case OAQ_PART(kArm, 0xD0B):       // Cortex-A76
    case OAQ_PART(kArm, 0xD0C):       // Neoverse N1
    case OAQ_PART(kArm, 0xD0D):       // Cortex-A77
    case OAQ_PART(kArm, 0xD41):       // Cortex-A78
    case OAQ_PART(kQualcomm, 0x201):  // Kryo
    case OAQ_PART(kQualcomm, 0x205):
    case OAQ_PART(kQualcomm, 0x211):
    case OAQ_PART(kQualcomm, 0x800):  // Kryo 2xx Gold, an A73
    case OAQ_PART(kQualcomm, 0x802):  // Kryo 3xx Gold, an A75
    case OAQ_PART(kQualcomm, 0x804):  // Kryo 4xx Gold, an A76
    case OAQ_PART(kSamsung, 0x001):   // Exynos M1, M2
    case OAQ_PART(kSamsung, 0x002):   // Exynos M3
      return OAQ_ARM_A72;
    default:
      return OAQ_ARM_OTHER;
  }
}

unsigned oaq_arm_kinds_in(FILE* cpuinfo, long cores) {
  unsigned kinds = 0, implementer = kArm, part = 0;
  long listed = 0;
  char line[256];
  while (fgets(line, sizeof(line), cpuinfo) != NULL) {
    // Of each core, the part comes second.
    if (sscanf(line, "CPU implementer : %x", &implementer) == 1) continue;
    if (sscanf(line, "CPU part : %x", &part) != 1) continue;
    kinds |= oaq_arm_kind((implementer & 0xFF) << 24 | (part & 0xFFF) << 4);
    ++listed;
  }
  return listed > 0 && listed < cores ? kinds | OAQ_ARM_OTHER : kinds;
}
