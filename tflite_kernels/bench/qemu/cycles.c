// SPDX-License-Identifier: Apache-2.0
// A plugin for qemu-user: the cycles of each executed instruction on an in-order core. cycles.py
// builds it, with places.c and table.c, and runs a program under it twice. Without an argument it
// prints the code of each instruction that was translated,
//
//   code CODE
//
// of which core_table.py makes a table; with `table=FILE` it issues all that is executed on the
// model, and prints
//
//   file NUMBER PATH
//   at NUMBER OFFSET COUNT CYCLES CODE e      e: functions begin here, else -
//
// and the codes that the table did not have. With `mark=OFFSET@PATH` besides it prints
//
//   mark
//
// each time that a block of that file is entered there, behind what was executed since the last
// one.
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "in_order.h"
#include "places.h"
#include "table.h"

int qemu_plugin_version = 1;

typedef struct {
  InOrderInstruction instruction;
  Place* place;
} Step;

// What is executed from its beginning to its end, once it is entered.
typedef struct {
  size_t num_steps;
  bool calls;
  bool marked;
  Step steps[];
} Block;

// Where a part of the run ends; none without a path.
typedef struct {
  uintptr_t offset;
  const char* path;
} Mark;

static Table table;
static Mark mark;
// Stands for what is not in the table.
static const InOrderInstruction kSimple = {.cycles = 1, .latency = 1};
static bool called;  // By the block that was executed last.
static InOrderCore core = {.first = kNoKind};

static void translated(QemuPluginId id, QemuBlock* translated_block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(translated_block); ++i) {
    Place* place = place_of(qemu_plugin_tb_get_insn(translated_block, i));
    place->count = 1;
  }
}

static void print_code(const Place* place) {
  char line[32];
  snprintf(line, sizeof(line), "code %08" PRIx32 "\n", place->code);
  qemu_plugin_outs(line);
}

// BL, BLR, BR.
static bool is_call(uint32_t code) {
  return (code & 0xfc000000u) == 0x94000000u || (code & 0xffdffc1fu) == 0xd61f0000u ||
         (code & 0xfffffc1fu) == 0xd63f0000u;
}

static void print_cycles(const Place* place) {
  if (place->unknown) print_code(place);
  char line[128];
  snprintf(line, sizeof(line),
           "at %" PRIu32 " %" PRIuPTR " %" PRIu64 " %" PRIu64 " %08" PRIx32 " %c\n", place->file,
           place->offset, place->count, place->cycles, place->code, place->entered ? 'e' : '-');
  qemu_plugin_outs(line);
}

static void executed(unsigned cpu, void* data) {
  (void)cpu;
  const Block* block = data;
  if (block->marked) {
    places_print(print_cycles);
    places_clear();
    qemu_plugin_outs("mark\n");
  }
  if (called) block->steps[0].place->entered = true;
  called = block->calls;
  for (size_t i = 0; i < block->num_steps; ++i) {
    const Step* step = &block->steps[i];
    step->place->cycles += in_order_issue(&core, &step->instruction);
    ++step->place->count;
  }
}

static void translated_for_cycles(QemuPluginId id, QemuBlock* translated_block) {
  (void)id;
  const size_t num_steps = qemu_plugin_tb_n_insns(translated_block);
  // Never freed: qemu may keep the block until the program ends.
  Block* block = malloc(sizeof(*block) + num_steps * sizeof(block->steps[0]));
  if (block == NULL) {
    fputs("qemu plugin: out of memory\n", stderr);
    exit(2);
  }
  block->num_steps = num_steps;
  for (size_t i = 0; i < num_steps; ++i) {
    Place* place = place_of(qemu_plugin_tb_get_insn(translated_block, i));
    const InOrderInstruction* found = table_find(&table, place->code);
    place->unknown = found == NULL;
    block->steps[i] = (Step){found != NULL ? *found : kSimple, place};
    block->calls = is_call(place->code);
  }
  const Place* first = block->steps[0].place;
  block->marked = mark.path != NULL && first->offset == mark.offset &&
                  strcmp(place_file(first), mark.path) == 0;
  qemu_plugin_register_vcpu_tb_exec_cb(translated_block, executed, kQemuNoRegisters, block);
}

static void done(QemuPluginId id, void* data) {
  (void)id;
  (void)data;
  places_print(table.rows != NULL ? print_cycles : print_code);
}

// What follows a name in an argument, NULL where that is another one.
static const char* value_of(const char* argument, const char* name) {
  const size_t length = strlen(name);
  return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

static bool read_argument(const char* argument) {
  const char* value = value_of(argument, "table=");
  if (value != NULL) {
    const bool read = table_read(value, &table);
    memcpy(core.pairs, table.pairs, sizeof(core.pairs));
    return read;
  }
  value = value_of(argument, "mark=");
  char* end = NULL;
  if (value != NULL) mark.offset = strtoull(value, &end, 10);
  if (value == NULL || *end != '@') return false;
  // Arguments do not outlive the installation.
  mark.path = strdup(end + 1);
  return mark.path != NULL;
}

int qemu_plugin_install(QemuPluginId id, const QemuInfo* info, int count, char** arguments) {
  (void)info;
  for (int i = 0; i < count; ++i) {
    if (read_argument(arguments[i])) continue;
    fprintf(stderr, "qemu plugin: '%s' is no table=FILE that can be read, nor mark=OFFSET@PATH\n",
            arguments[i]);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id,
                                        table.rows != NULL ? translated_for_cycles : translated);
  qemu_plugin_register_atexit_cb(id, done, NULL);
  return 0;
}
