// SPDX-License-Identifier: Apache-2.0
#include "core/x86/cpu.h"

#include <cpuid.h>
#include <stdint.h>

// Intel's Software Developer's Manual, volume 2A, CPUID; volume 1, 13.3 (XCR0).
enum { kYmm = 0x06, kZmm = 0xE6 };

static bool has(uint32_t features, int bit) { return (features >> bit & 1) != 0; }

// Register states that the operating system saves; 0 where it does not say.
static uint32_t saved_states(uint32_t features) {
  if (!has(features, 27)) return 0;
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

OaqX86 oaq_x86(void) {
  OaqX86 cpu = {0};
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  cpu.sse41 = has(c, 19);
  const uint32_t states = saved_states(c);
  const bool ymm = (states & kYmm) == kYmm && has(c, 28);
  const bool fma = has(c, 12);
  const bool zmm = (states & kZmm) == kZmm && ymm;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
  const uint32_t subleaves = a;
  cpu.avx2 = ymm && fma && has(b, 5);
  cpu.avx512bw = zmm && cpu.avx2 && has(b, 16) && has(b, 17) && has(b, 30) && has(b, 31);
  cpu.avx512_vnni = cpu.avx512bw && has(c, 11);
  cpu.avx512_vbmi = cpu.avx512bw && has(c, 1);
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    cpu.avx_vnni = cpu.avx2 && has(a, 4);
  }
  return cpu;
}
