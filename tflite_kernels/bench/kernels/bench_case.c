// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/bench_case.h"

#include <stdlib.h>
#include <string.h>

#include "bench/fail.h"

enum { kAlignment = 64 };

static void* checked(void* memory) {
  if (memory == NULL) {
    fail("out of memory");
    exit(2);
  }
  return memory;
}

BenchCase* bench_cases_add(BenchCases* cases) {
  if (cases->count == cases->capacity) {
    cases->capacity = cases->capacity > 0 ? 2 * cases->capacity : 64;
    cases->items = checked(realloc(cases->items, cases->capacity * sizeof(*cases->items)));
  }
  BenchCase* item = &cases->items[cases->count++];
  *item = (BenchCase){.unit = "MAC"};
  return item;
}

void* bench_alloc(size_t size) {
  const size_t rounded = (size + 2 * kAlignment - 1) / kAlignment * kAlignment;
  return memset(checked(aligned_alloc(kAlignment, rounded)), 0, rounded);
}

void bench_random_codes(int lo, int hi, int8_t* codes, size_t count) {
  static uint32_t state = 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    codes[i] = (int8_t)(lo + (int)((state >> 16) % (uint32_t)(hi - lo + 1)));
  }
}
