// SPDX-License-Identifier: Apache-2.0
// A plugin for qemu-user: how often each instruction of an emulated program was executed, by the
// file that it came from and its offset there, which ASLR does not change. count_instructions.py
// builds it, and reads what it prints at exit:
//
//   file NUMBER PATH
//   at NUMBER OFFSET COUNT m            m: one of ARM's vector multiplications, else -
//
// For programs of one thread: counters are added to without a lock.
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is used of qemu's plugin API, version 1; Debian packages no header of it.
typedef uint64_t QemuPluginId;
typedef struct QemuInfo QemuInfo;
typedef struct QemuBlock QemuBlock;
typedef struct QemuInstruction QemuInstruction;
enum { kQemuInlineAdd = 0 };
extern void qemu_plugin_register_vcpu_tb_trans_cb(QemuPluginId id,
                                                  void (*translated)(QemuPluginId id,
                                                                     QemuBlock* block));
extern void qemu_plugin_register_atexit_cb(QemuPluginId id,
                                           void (*done)(QemuPluginId id, void* data), void* data);
extern size_t qemu_plugin_tb_n_insns(const QemuBlock* block);
extern QemuInstruction* qemu_plugin_tb_get_insn(const QemuBlock* block, size_t index);
extern const void* qemu_plugin_insn_data(const QemuInstruction* instruction);
extern size_t qemu_plugin_insn_size(const QemuInstruction* instruction);
extern void* qemu_plugin_insn_haddr(const QemuInstruction* instruction);
extern void qemu_plugin_register_vcpu_insn_exec_inline(QemuInstruction* instruction, int operation,
                                                       void* counter, uint64_t summand);
extern void qemu_plugin_outs(const char* text);

#define EXPORT __attribute__((visibility("default")))
EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(QemuPluginId id, const QemuInfo* info, int count, char** arguments);

enum { kCounters = 1 << 20, kMaxFiles = 256, kMaxPath = 512 };

typedef struct {
  uintptr_t address;  // On the host; 0 where the place is free.
  uintptr_t offset;   // In its file.
  uint64_t count;
  uint32_t file;
  bool multiplies;
} Counter;

// A part of a file in memory.
typedef struct {
  uintptr_t start, end, offset;
  uint32_t file;
} Mapping;

static Counter counters[kCounters];
static size_t num_counters;
static char files[kMaxFiles][kMaxPath];
static uint32_t num_files;
static Mapping mappings[4 * kMaxFiles];
static size_t num_mappings;

static uint32_t file_number(const char* path) {
  for (uint32_t i = 0; i < num_files; ++i) {
    if (strcmp(files[i], path) == 0) return i;
  }
  if (num_files == kMaxFiles) return kMaxFiles - 1;
  snprintf(files[num_files], kMaxPath, "%s", path);
  return num_files++;
}

static void read_mappings(void) {
  num_mappings = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return;
  char line[kMaxPath + 128];
  while (fgets(line, sizeof(line), maps) != NULL &&
         num_mappings < sizeof(mappings) / sizeof(mappings[0])) {
    uintptr_t start = 0, end = 0, offset = 0;
    int path = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNxPTR " %*s %*s %n", &start, &end, &offset,
               &path) < 3) {
      continue;
    }
    line[strcspn(line, "\n")] = 0;
    const char* name = path > 0 && line[path] != 0 ? line + path : "[anonymous]";
    mappings[num_mappings++] = (Mapping){start, end, offset, file_number(name)};
  }
  fclose(maps);
}

static const Mapping* find_mapping(uintptr_t address) {
  for (size_t i = 0; i < num_mappings; ++i) {
    if (address >= mappings[i].start && address < mappings[i].end) return &mappings[i];
  }
  return NULL;
}

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

static Counter* find_counter(uintptr_t address) {
  size_t place = (address >> 1) * 0x9e3779b97f4a7c15u >> 44;
  for (; counters[place].address != 0; place = (place + 1) % kCounters) {
    if (counters[place].address == address) return &counters[place];
  }
  // Half full at most, so that a free place is near.
  if (num_counters == kCounters / 2) {
    fputs("qemu_count: the program has too many instructions\n", stderr);
    exit(2);
  }
  ++num_counters;
  counters[place].address = address;
  return &counters[place];
}

static void translated(QemuPluginId id, QemuBlock* block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    QemuInstruction* instruction = qemu_plugin_tb_get_insn(block, i);
    const uintptr_t address = (uintptr_t)qemu_plugin_insn_haddr(instruction);
    const Mapping* mapping = find_mapping(address);
    if (mapping == NULL) {
      read_mappings();
      mapping = find_mapping(address);
    }
    Counter* counter = find_counter(address);
    if (mapping != NULL) {
      counter->file = mapping->file;
      counter->offset = address - mapping->start + mapping->offset;
    }
    if (qemu_plugin_insn_size(instruction) == sizeof(uint32_t)) {
      uint32_t code = 0;
      memcpy(&code, qemu_plugin_insn_data(instruction), sizeof(code));
      counter->multiplies = is_vector_multiply(code);
    }
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, kQemuInlineAdd, &counter->count, 1);
  }
}

static void done(QemuPluginId id, void* data) {
  (void)id;
  (void)data;
  char line[kMaxPath + 32];
  for (uint32_t i = 0; i < num_files; ++i) {
    snprintf(line, sizeof(line), "file %" PRIu32 " %s\n", i, files[i]);
    qemu_plugin_outs(line);
  }
  for (size_t i = 0; i < kCounters; ++i) {
    const Counter* counter = &counters[i];
    if (counter->count == 0) continue;
    snprintf(line, sizeof(line), "at %" PRIu32 " %" PRIuPTR " %" PRIu64 " %c\n", counter->file,
             counter->offset, counter->count, counter->multiplies ? 'm' : '-');
    qemu_plugin_outs(line);
  }
}

int qemu_plugin_install(QemuPluginId id, const QemuInfo* info, int count, char** arguments) {
  (void)info;
  (void)count;
  (void)arguments;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, done, NULL);
  return 0;
}
