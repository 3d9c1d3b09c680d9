// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TESTS_TEST_H_
#define OAQ_TESTS_TEST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Stops the test with the place and the condition.
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

// A small generator (xorshift64*), the same on every machine.
typedef struct Random {
  uint64_t state;
} Random;

uint64_t random_bits(Random* random);
// Uniform in [lo, hi].
int32_t random_int(Random* random, int32_t lo, int32_t hi);
void random_codes(Random* random, int32_t lo, int32_t hi, int8_t* codes, size_t count);
// calloc that ends the test where memory is out.
void* test_alloc(size_t count, size_t size);

#endif  // OAQ_TESTS_TEST_H_
