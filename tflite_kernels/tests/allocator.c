// SPDX-License-Identifier: Apache-2.0
#include "allocator.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What the linker makes of the program's calls, and of ours.
void* __real_malloc(size_t size);
void __real_free(void* memory);
void* __wrap_malloc(size_t size);
void* __wrap_calloc(size_t count, size_t size);
void* __wrap_realloc(void* memory, size_t size);
void __wrap_free(void* memory);

// In front of each block: its size, in as many bytes as keep it aligned.
enum { kHeader = 2 * sizeof(max_align_t) };

static atomic_size_t held, peak;
static atomic_int left = -1;

size_t allocator_bytes(void) { return held; }

void allocator_watch(void) { peak = held; }

size_t allocator_peak(void) { return peak; }

void allocator_fail_after(int allocations) { left = allocations; }

int allocator_is_to_fail(void) { return left >= 0; }

static bool fails(void) { return left >= 0 && atomic_fetch_sub(&left, 1) == 0; }

void* __wrap_malloc(size_t size) {
  if (fails() || size > SIZE_MAX - kHeader) return NULL;
  char* memory = __real_malloc(size + kHeader);
  if (memory == NULL) return NULL;
  memcpy(memory, &size, sizeof(size));
  const size_t now = atomic_fetch_add(&held, size) + size;
  if (now > peak) peak = now;
  // What the allocator gives is undefined.
  memset(memory + kHeader, 0xA5, size);
  return memory + kHeader;
}

void* __wrap_calloc(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  void* memory = __wrap_malloc(count * size);
  if (memory != NULL) memset(memory, 0, count * size);
  return memory;
}

static size_t size_of(const void* memory) {
  size_t size = 0;
  memcpy(&size, (const char*)memory - kHeader, sizeof(size));
  return size;
}

void* __wrap_realloc(void* memory, size_t size) {
  char* grown = __wrap_malloc(size);
  if (grown == NULL || memory == NULL) return grown;
  const size_t before = size_of(memory);
  memcpy(grown, memory, before < size ? before : size);
  __wrap_free(memory);
  return grown;
}

void __wrap_free(void* memory) {
  if (memory == NULL) return;
  const size_t size = size_of(memory);
  atomic_fetch_sub(&held, size);
  memset(memory, 0x5A, size);
  __real_free((char*)memory - kHeader);
}
