// SPDX-License-Identifier: Apache-2.0
#include "places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kPlaces = 1 << 20, kMaxFiles = 256, kMaxPath = 512 };

// A part of a file in memory.
typedef struct {
  uintptr_t start, end, offset;
  uint32_t file;
} Mapping;

static Place places[kPlaces];
static size_t num_places;
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

static Place* find_place(uintptr_t address) {
  size_t at = (address >> 1) * 0x9e3779b97f4a7c15u >> 44;
  for (; places[at].address != 0; at = (at + 1) % kPlaces) {
    if (places[at].address == address) return &places[at];
  }
  // Half full at most, so that a free place is near.
  if (num_places == kPlaces / 2) {
    fputs("qemu plugin: the program has too many instructions\n", stderr);
    exit(2);
  }
  ++num_places;
  places[at].address = address;
  return &places[at];
}

Place* place_of(QemuInstruction* instruction) {
  const uintptr_t address = (uintptr_t)qemu_plugin_insn_haddr(instruction);
  const Mapping* mapping = find_mapping(address);
  if (mapping == NULL) {
    read_mappings();
    mapping = find_mapping(address);
  }
  Place* place = find_place(address);
  if (mapping != NULL) {
    place->file = mapping->file;
    place->offset = address - mapping->start + mapping->offset;
  }
  place->code = 0;
  if (qemu_plugin_insn_size(instruction) == sizeof(place->code)) {
    memcpy(&place->code, qemu_plugin_insn_data(instruction), sizeof(place->code));
  }
  return place;
}

const char* place_file(const Place* place) { return files[place->file]; }

void places_clear(void) {
  for (size_t i = 0; i < kPlaces; ++i) places[i].count = places[i].cycles = 0;
}

void places_print(void (*print)(const Place* place)) {
  char line[kMaxPath + 32];
  for (uint32_t i = 0; i < num_files; ++i) {
    snprintf(line, sizeof(line), "file %" PRIu32 " %s\n", i, files[i]);
    qemu_plugin_outs(line);
  }
  for (size_t i = 0; i < kPlaces; ++i) {
    if (places[i].count > 0) print(&places[i]);
  }
}
