// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_X86_LOAD_H_
#define OAQ_CORE_X86_LOAD_H_

#include <stdint.h>
#include <string.h>

// Four codes, or two wide ones, from any address: what a broadcast loads.
static inline int32_t oaq_load_i32(const void* from) {
  int32_t value;
  memcpy(&value, from, sizeof(value));
  return value;
}

#endif  // OAQ_CORE_X86_LOAD_H_
