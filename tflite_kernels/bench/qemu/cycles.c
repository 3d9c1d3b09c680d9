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
// and the codes that the table did not have.
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
  Step steps[];
} Block;

static Table table;
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

static void executed(unsigned cpu, void* data) {
  (void)cpu;
  const Block* block = data;
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
  qemu_plugin_register_vcpu_tb_exec_cb(translated_block, executed, kQemuNoRegisters, block);
}

static void print_cycles(const Place* place) {
  if (place->unknown) print_code(place);
  char line[128];
  snprintf(line, sizeof(line),
           "at %" PRIu32 " %" PRIuPTR " %" PRIu64 " %" PRIu64 " %08" PRIx32 " %c\n", place->file,
           place->offset, place->count, place->cycles, place->code, place->entered ? 'e' : '-');
  qemu_plugin_outs(line);
}

static void done(QemuPluginId id, void* data) {
  (void)id;
  (void)data;
  places_print(table.rows != NULL ? print_cycles : print_code);
}

int qemu_plugin_install(QemuPluginId id, const QemuInfo* info, int count, char** arguments) {
  (void)info;
  static const char kTable[] = "table=";
  for (int i = 0; i < count; ++i) {
    const bool known = strncmp(arguments[i], kTable, sizeof(kTable) - 1) == 0;
    if (!known || !table_read(arguments[i] + sizeof(kTable) - 1, &table)) {
      fprintf(stderr, "qemu plugin: '%s' is no table=FILE that can be read\n", arguments[i]);
      return 1;
    }
    memcpy(core.pairs, table.pairs, sizeof(core.pairs));
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id,
                                        table.rows != NULL ? translated_for_cycles : translated);
  qemu_plugin_register_atexit_cb(id, done, NULL);
  return 0;
}
