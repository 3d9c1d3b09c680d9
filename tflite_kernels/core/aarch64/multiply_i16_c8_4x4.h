// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AARCH64_MULTIPLY_I16_C8_4X4_H_
#define OAQ_CORE_AARCH64_MULTIPLY_I16_C8_4X4_H_

#include <stddef.h>
#include <stdint.h>

// What the assembly kernels take. Its offsets are in multiply_i16_c8_4x4.inc.
typedef struct OaqMultiply4x4 {
  const int8_t* a;         // the first row of the first group of four
  size_t group_stride;     // from group to group, in bytes
  size_t groups;           // 1 or more
  int32_t* acc;            // [groups][4][4]
  size_t row_offsets[3];   // of a group's other rows, in bytes
  size_t levels;           // as OaqDrains has them
  const int32_t* bias;     // [4]
  const int8_t* b;         // [steps][4][8]
  const size_t* segments;  // offsets of a row's segments, in bytes
  size_t num_segments, segment_steps;
  const uint32_t* blocks;  // the drain list
  size_t num_blocks;
  const int16_t* start;  // [num_blocks][4][8] or NULL
} OaqMultiply4x4;

void oaq_multiply_i16_c8_4x4_a53(const OaqMultiply4x4* call);
void oaq_multiply_i16_c8_4x4_a55(const OaqMultiply4x4* call);
void oaq_multiply_i16_c8_4x4_a72(const OaqMultiply4x4* call);

#endif  // OAQ_CORE_AARCH64_MULTIPLY_I16_C8_4X4_H_
