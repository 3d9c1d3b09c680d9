// SPDX-License-Identifier: Apache-2.0
#include "test.h"

uint64_t random_bits(Random* random) {
  random->state ^= random->state >> 12;
  random->state ^= random->state << 25;
  random->state ^= random->state >> 27;
  return random->state * UINT64_C(0x2545F4914F6CDD1D);
}

int32_t random_int(Random* random, int32_t lo, int32_t hi) {
  const uint64_t span = (uint64_t)((int64_t)hi - lo) + 1;
  return (int32_t)(lo + (int64_t)((random_bits(random) >> 11) % span));
}

void random_codes(Random* random, int32_t lo, int32_t hi, int8_t* codes, size_t count) {
  for (size_t i = 0; i < count; ++i) codes[i] = (int8_t)random_int(random, lo, hi);
}

void* test_alloc(size_t count, size_t size) {
  void* memory = calloc(count > 0 ? count : 1, size);
  CHECK(memory != NULL);
  return memory;
}
