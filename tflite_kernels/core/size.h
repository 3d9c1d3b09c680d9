// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_SIZE_H_
#define OAQ_CORE_SIZE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// *product = a * b; false where that does not fit a size_t.
static inline bool oaq_size_multiply(size_t a, size_t b, size_t* product) {
  if (b != 0 && a > SIZE_MAX / b) return false;
  *product = a * b;
  return true;
}

static inline size_t oaq_min_size(size_t a, size_t b) { return a < b ? a : b; }

// a / b, rounded up, without the overflow of (a + b - 1) / b.
static inline size_t oaq_ceil_div(size_t a, size_t b) { return a / b + (a % b != 0 ? 1 : 0); }

static inline int32_t oaq_clamp(int32_t value, int32_t lo, int32_t hi) {
  return value < lo ? lo : (value > hi ? hi : value);
}

// Two's complement arithmetic modulo 2^32, as the reference's registers do it.
static inline int32_t oaq_wrap_add(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

#endif  // OAQ_CORE_SIZE_H_
