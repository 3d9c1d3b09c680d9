// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_PAD_H_
#define OAQ_CORE_PAD_H_

#include <stddef.h>
#include <stdint.h>

// A tensor of 8-bit codes in a larger one of one code: [batch][height][width][channels], the first
// of them 1 where there are fewer dimensions.
enum { OAQ_PAD_DIMENSIONS = 4 };

typedef struct OaqPad {
  size_t input[OAQ_PAD_DIMENSIONS], before[OAQ_PAD_DIMENSIONS], output[OAQ_PAD_DIMENSIONS];
  uint8_t code;
} OaqPad;

// before[d] + input[d] <= output[d]; `in` and `out` do not overlap. `in` may be NULL where the
// input has no elements.
void oaq_pad_run(const OaqPad* pad, const uint8_t* in, uint8_t* out);

#endif  // OAQ_CORE_PAD_H_
