// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_CODE_TABLE_H_
#define OAQ_CORE_CODE_TABLE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bound.h"
#include "core/error.h"
#include "core/kernels.h"
#include "core/split.h"

// QUANTIZE from one 8-bit tensor to another, and LEAKY_RELU of one: what TFLite's reference kernels
// make of each of the 256 codes, computed once and looked up.

// What the bytes of a tensor stand for: scale * (code - zero_point).
typedef struct OaqCodes {
  bool is_signed;      // int8, else uint8
  float scale;         // finite, above 0
  int32_t zero_point;  // one of the codes
} OaqCodes;

// The lowest and the highest code of the type.
OaqRange oaq_codes_range(bool is_signed);

// What a table does to all bytes alike needs no looking up.
typedef enum OaqCodeChange {
  OAQ_CODES_KEPT,
  OAQ_CODES_FLIPPED,  // the top bit: int8 to uint8 or back, nothing else changed
  OAQ_CODES_LOOKED_UP,
} OaqCodeChange;

typedef struct OaqCodeTable {
  uint8_t bytes[256];  // of the output, by those of the input
  OaqCodeChange change;
  bool from_signed, to_signed;
} OaqCodeTable;

// False where the scales' ratio is 2^23 or more: TFLite's products leave 32 bits there.
bool oaq_code_table_init(const OaqCodes* input, const OaqCodes* output, OaqCodeTable* table,
                         OaqError* error);

// Numbers below zero times `alpha` besides, which has to be finite and 0 or more, and its product
// with the scales' ratio below 2^23 too.
bool oaq_code_table_init_leaky_relu(const OaqCodes* input, const OaqCodes* output, float alpha,
                                    OaqCodeTable* table, OaqError* error);

// The output's codes for the input's in `range`, which has to be within the input's type.
OaqRange oaq_code_table_range(const OaqCodeTable* table, OaqRange range);

// `out` may be `in`, but not overlap it otherwise. `look_up` of some kernels, or NULL.
void oaq_code_table_apply(const OaqCodeTable* table, OaqLookUp look_up, size_t count,
                          const uint8_t* in, uint8_t* out);

// How `count` bytes are shared out, and the same on the pool's threads.
OaqSplit oaq_code_table_split(const OaqCodeTable* table, const OaqThreads* threads, size_t count);
void oaq_code_table_run(const OaqCodeTable* table, OaqLookUp look_up, const OaqSplit* split,
                        OaqThreads* threads, size_t count, const uint8_t* in, uint8_t* out);

#endif  // OAQ_CORE_CODE_TABLE_H_
