// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/arm/cpu.h"
#include "core/arm/kernels_arm.h"
#include "test.h"

// Which kernels a chip gets, from what /proc/cpuinfo says of its cores.

#define CORE(part) \
  "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: " part "\nCPU revision\t: 4\n\n"
#define KRYO(part) "CPU implementer\t: 0x51\nCPU part\t: " part "\n\n"

static unsigned kinds_in(const char* text, long cores) {
  FILE* file = tmpfile();
  CHECK(file != NULL);
  CHECK(fputs(text, file) >= 0);
  rewind(file);
  const unsigned kinds = oaq_arm_kinds_in(file, cores);
  fclose(file);
  return kinds;
}

static void check_chips(void) {
  static const struct {
    const char* cpuinfo;
    unsigned kinds;
    const char* isa;
  } kChips[] = {
      {CORE("0xd03") CORE("0xd03"), OAQ_ARM_A53, "a53"},  // Pi 3
      {CORE("0xd08") CORE("0xd08"), OAQ_ARM_A72, "a72"},  // Pi 4
      {CORE("0xd05") CORE("0xd05"), OAQ_ARM_A55, "a55"},  // RK3566
      {CORE("0xd04"), OAQ_ARM_A53, "a53"},                // Cortex-A35
      {CORE("0xd07"), OAQ_ARM_A72, "a72"},                // Jetson Nano
      {CORE("0xd07") CORE("0xd08"), OAQ_ARM_A72, "a72"},  // one schedule for both
      {CORE("0xd03") CORE("0xd09"), OAQ_ARM_A53 | OAQ_ARM_A72, "per_core"},
      {CORE("0xd08") CORE("0xd03"), OAQ_ARM_A53 | OAQ_ARM_A72, "per_core"},  // RK3399
      {CORE("0xd05") CORE("0xd0a"), OAQ_ARM_A55 | OAQ_ARM_A72, "per_core"},
      {KRYO("0x801") KRYO("0x800"), OAQ_ARM_A53 | OAQ_ARM_A72, "per_core"},  // Snapdragon 660
      {KRYO("0x803") KRYO("0x802"), OAQ_ARM_A55 | OAQ_ARM_A72, "per_core"},  // Snapdragon 845
      {CORE("0xfff"), OAQ_ARM_OTHER, "per_core"},
      {CORE("0xd03") CORE("0xfff"), OAQ_ARM_A53 | OAQ_ARM_OTHER, "per_core"},
      // A part's number is its implementer's: this one is no Cortex-A72.
      {KRYO("0xd08"), OAQ_ARM_OTHER, "per_core"},
      {"Features\t: asimd\nCPU part\t: zebra\n", 0, NULL},
      {"", 0, NULL},
  };
  for (size_t i = 0; i < sizeof(kChips) / sizeof(kChips[0]); ++i) {
    CHECK(kinds_in(kChips[i].cpuinfo, 1) == kChips[i].kinds);
    if (kChips[i].isa == NULL) continue;
    const char* isa = oaq_kernels_arm_of(kChips[i].kinds)->isa;
#ifdef OAQ_ASSEMBLY
    CHECK(strcmp(isa, kChips[i].isa) == 0);
#else
    CHECK(strcmp(isa, "neon") == 0);
#endif
  }
}

// Cores that are off may be of another kind.
static void check_cores_that_are_off(void) {
  CHECK(kinds_in(CORE("0xd03") CORE("0xd03"), 2) == OAQ_ARM_A53);
  CHECK(kinds_in(CORE("0xd03") CORE("0xd03"), 4) == (OAQ_ARM_A53 | OAQ_ARM_OTHER));
  CHECK(kinds_in("", 4) == 0);
}

// A chip of several kinds has one plan, of costs that decide as each kind's own would.
static void check_costs(void) {
  static const OaqArmKind kKinds[] = {OAQ_ARM_A53, OAQ_ARM_A55, OAQ_ARM_A72};
  for (size_t i = 0; i < sizeof(kKinds) / sizeof(kKinds[0]); ++i) {
    const OaqCost mixed = oaq_kernels_arm_of(OAQ_ARM_A53 | OAQ_ARM_A72)->gemms[0].cost;
    const OaqCost own = oaq_kernels_arm_of(kKinds[i])->gemms[0].cost;
    for (uint32_t steps = 1; steps < 100; ++steps) {
      const float n = (float)steps;
      CHECK((n * mixed.int16_step + mixed.int16_drain < n * mixed.exact_step) ==
            (n * own.int16_step + own.int16_drain < n * own.exact_step));
    }
  }
}

// The same choice for whoever runs, at run time.
static void check_this_core(void) {
  const OaqArmKind kind = oaq_arm_kind_of_this_core();
  // One that is not known asks again.
  const OaqKernels* own = oaq_kernels_arm_of(kind == OAQ_ARM_OTHER ? OAQ_ARM_A53 : kind);
  for (size_t i = 0; i < own->num_gemms; ++i) CHECK(own->gemms[i].of_this_core == NULL);
  const OaqKernels* mixed = oaq_kernels_find("per_core");
#ifdef OAQ_ASSEMBLY
  CHECK(mixed == oaq_kernels_arm_of(OAQ_ARM_A53 | OAQ_ARM_A55));
  CHECK(mixed->num_gemms == own->num_gemms);
  for (size_t i = 0; i < mixed->num_gemms; ++i) {
    if (mixed->gemms[i].of_this_core == NULL) continue;
    const OaqGemm* found = mixed->gemms[i].of_this_core();
    CHECK(found == &own->gemms[i]);
    CHECK(found->layout == mixed->gemms[i].layout && found->rows == mixed->gemms[i].rows);
  }
  // On an emulator that lists no cores, or a chip of one kind.
  const OaqKernels* best = oaq_kernels_find("auto");
  CHECK(oaq_arm().dotprod || best == own || best == mixed);
#else
  CHECK(mixed == NULL);
#endif
}

int main(void) {
  check_chips();
  check_cores_that_are_off();
  check_costs();
  check_this_core();
  return 0;
}
