// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AARCH64_MULTIPLY_I16_C8_4X4_H_
#define OAQ_CORE_AARCH64_MULTIPLY_I16_C8_4X4_H_

#include <stddef.h>
#include <stdint.h>

// What the assembly kernels take. Its offsets are in finish_i16_c8_4x4.inc.
typedef struct OaqMultiply4x4 {
  const int8_t* a;         // the first row of the first group of four
  size_t group_stride;     // from group to group, in bytes
  size_t groups;           // 1 or more
  void* out;               // sums, [groups][4][4] int32_t, or the first group's codes
  size_t row_offsets[3];   // of a group's other rows, in bytes
  size_t levels;           // as OaqDrains has them, and OAQ_MULTIPLY_SIGNED and _CLAMPED
  const int32_t* bias;     // [4]
  const int8_t* b;         // [steps][4][8]
  const size_t* segments;  // offsets of a row's segments, in bytes
  size_t num_segments, segment_steps;
  const uint32_t* blocks;  // the drain list
  size_t num_blocks;
  const int16_t* start;  // [num_blocks][4][8] or NULL
  // What follows is of codes alone, as OaqOutputStage has it.
  const int32_t* multipliers;  // [4]
  const int32_t* shifts;       // [4]
  size_t out_stride;           // from row to row
  int16_t zero_point;
  int8_t limits[2];  // the least and the greatest code
} OaqMultiply4x4;

enum {
  OAQ_MULTIPLY_SIGNED = 1 << 2,   // codes of negative sums are told apart
  OAQ_MULTIPLY_CLAMPED = 1 << 3,  // to less than int8 holds
};

typedef void OaqMultiply4x4Kernel(const OaqMultiply4x4* call);

// Sums.
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_a53;
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_a55;
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_a72;

// Codes.
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_codes_a53;
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_codes_a55;
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_codes_a72;

// Codes, of one segment that is one block of two steps or more, without start values.
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_whole_a53;
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_whole_a55;
OaqMultiply4x4Kernel oaq_multiply_i16_c8_4x4_whole_a72;

#endif  // OAQ_CORE_AARCH64_MULTIPLY_I16_C8_4X4_H_
