// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L

#include "bench/machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const char kUnknown[] = "unknown";

// The first line, without what ends it; device trees end theirs with a NUL.
static void read_line(const char* path, char* text, size_t size) {
  snprintf(text, size, "%s", kUnknown);
  FILE* file = fopen(path, "r");
  if (file == NULL) return;
  char line[128];
  if (fgets(line, sizeof(line), file) != NULL) {
    line[strcspn(line, "\r\n")] = 0;
    if (line[0] != 0) snprintf(text, size, "%s", line);
  }
  fclose(file);
}

static bool value_of(const char* line, const char* key, char* value, size_t size) {
  const size_t length = strlen(key);
  if (strncmp(line, key, length) != 0) return false;
  line += length + strspn(line + length, " \t");
  if (*line != ':') return false;
  line += 1 + strspn(line + 1, " \t");
  snprintf(value, size, "%.*s", (int)strcspn(line, "\r\n"), line);
  return value[0] != 0;
}

static void read_cpu(char* text, size_t size) {
  snprintf(text, size, "%s", kUnknown);
  FILE* file = fopen("/proc/cpuinfo", "r");
  if (file == NULL) return;
  char line[1024], implementer[32] = "", part[32] = "";
  while (fgets(line, sizeof(line), file) != NULL) {
    if (value_of(line, "model name", text, size)) break;
    value_of(line, "CPU implementer", implementer, sizeof(implementer));
    if (value_of(line, "CPU part", part, sizeof(part))) {
      snprintf(text, size, "implementer %s part %s", implementer, part);
    }
  }
  fclose(file);
}

Machine machine_read(void) {
  Machine machine;
  read_line("/proc/device-tree/model", machine.board, sizeof(machine.board));
  read_cpu(machine.cpu, sizeof(machine.cpu));
  read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", machine.governor,
            sizeof(machine.governor));
  struct utsname system;
  if (uname(&system) == 0) {
    snprintf(machine.kernel, sizeof(machine.kernel), "%.60s %.64s", system.sysname, system.release);
    snprintf(machine.processor, sizeof(machine.processor), "%.63s", system.machine);
  } else {
    snprintf(machine.kernel, sizeof(machine.kernel), "%s", kUnknown);
    snprintf(machine.processor, sizeof(machine.processor), "%s", kUnknown);
  }
  return machine;
}
