// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_AARCH64_MULTIPLY_I16_BROADCAST_4X16_H_
#define OAQ_CORE_AARCH64_MULTIPLY_I16_BROADCAST_4X16_H_

#include <stddef.h>
#include <stdint.h>

// What the assembly kernels take. Its offsets are in multiply_i16_broadcast_4x16.inc.
typedef struct OaqMultiply4x16 {
  const int8_t* a;             // the first row of the first group of four
  size_t group_stride;         // from group to group, in bytes
  size_t groups;               // 1 or more
  void* out;                   // sums, int32 [groups][4][16], or codes, rows `out_stride` apart
  size_t row_offsets[3];       // of a group's other rows, in bytes
  size_t out_stride;           // from row to row of codes
  const int32_t* bias;         // [16]
  const int16_t* b;            // [steps][16]
  const size_t* segments;      // offsets of a row's segments, in bytes
  size_t num_segments;         // 1 or more
  size_t segment_granules;     // of eight steps
  const uint8_t* first_steps;  // as OaqDrains has them
  // The output stage, for codes alone.
  const int32_t* multipliers;  // [16]; NULL for sums
  const int32_t* shifts;       // [16], e - 1
  size_t is_signed;            // as oaq_output_stage_is_signed
  int64_t zero_point;
  size_t is_clamped;  // to less than all codes
  int32_t lo, hi;
} OaqMultiply4x16;

void oaq_multiply_i16_broadcast_4x16_a53(const OaqMultiply4x16* call);
void oaq_multiply_i16_broadcast_4x16_a55(const OaqMultiply4x16* call);

#endif  // OAQ_CORE_AARCH64_MULTIPLY_I16_BROADCAST_4X16_H_
