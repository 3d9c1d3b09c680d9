// SPDX-License-Identifier: Apache-2.0
// Instructions of an emulated program by the file that they came from and their offset there, which
// ASLR does not change, and what is added up for each. For programs of one thread: no locks.
#ifndef OAQ_BENCH_QEMU_PLACES_H_
#define OAQ_BENCH_QEMU_PLACES_H_

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include "api.h"

typedef struct {
  uintptr_t address;  // On the host; 0 where the place is free.
  uintptr_t offset;   // In its file.
  uint64_t count;     // How often it was executed.
  uint64_t cycles;
  uint32_t file;
  uint32_t code;  // 0 where it is not of four bytes.
  bool entered;   // By a call, or a jump to where a register says.
  bool unknown;   // To a plugin's table.
} Place;

// The place of a translated instruction, always the same one.
Place* place_of(QemuInstruction* instruction);

const char* place_file(const Place* place);

// Begins to count anew.
void places_clear(void);

// Prints a line `file NUMBER PATH` for each file, then one by `print` for each place executed.
void places_print(void (*print)(const Place* place));

#endif  // OAQ_BENCH_QEMU_PLACES_H_
