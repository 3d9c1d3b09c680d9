// SPDX-License-Identifier: Apache-2.0
// A plugin for qemu-user: how often each instruction of an emulated program was executed.
// count_instructions.py builds it, with places.c, and reads what it prints at exit:
//
//   file NUMBER PATH
//   at NUMBER OFFSET COUNT m            m: one of ARM's vector multiplications, else -
#include <stdio.h>

#include "places.h"

int qemu_plugin_version = 1;

// SMULL, SMLAL, MUL, MLA, SDOT, SMMLA and their unsigned, subtracting and by-element forms.
static bool is_vector_multiply(uint32_t code) {
  switch (code & 0x9f20fc00u) {
    case 0x0e208000u:
    case 0x0e20a000u:
    case 0x0e20c000u:
    case 0x0e209c00u:
    case 0x0e209400u:
      return true;
    default:
      break;
  }
  switch (code & 0x9fe0fc00u) {
    case 0x0e809400u:
    case 0x0e809c00u:
    case 0x0e80a400u:
    case 0x0e80ac00u:
      return true;
    default:
      break;
  }
  switch (code & 0x9f00f400u) {
    case 0x0f000000u:
    case 0x0f002000u:
    case 0x0f006000u:
    case 0x0f008000u:
    case 0x0f00a000u:
    case 0x0f00e000u:
      return true;
    default:
      return false;
  }
}

static void translated(QemuPluginId id, QemuBlock* block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    QemuInstruction* instruction = qemu_plugin_tb_get_insn(block, i);
    Place* place = place_of(instruction);
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, kQemuInlineAdd, &place->count, 1);
  }
}

static void print(const Place* place) {
  char line[96];
  snprintf(line, sizeof(line), "at %" PRIu32 " %" PRIuPTR " %" PRIu64 " %c\n", place->file,
           place->offset, place->count, is_vector_multiply(place->code) ? 'm' : '-');
  qemu_plugin_outs(line);
}

static void done(QemuPluginId id, void* data) {
  (void)id;
  (void)data;
  places_print(print);
}

int qemu_plugin_install(QemuPluginId id, const QemuInfo* info, int count, char** arguments) {
  (void)info;
  (void)count;
  (void)arguments;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, done, NULL);
  return 0;
}
