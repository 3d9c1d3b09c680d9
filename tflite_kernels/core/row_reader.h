// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_ROW_READER_H_
#define OAQ_CORE_ROW_READER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/inline.h"
#include "core/kernels.h"

// Where a GEMM kernel is in the segments of its rows, and in the weights.
typedef struct Reader {
  const OaqRows* rows;
  const int8_t* first;  // of the rows
  const int8_t* a;
  const int8_t* b;
  size_t stride;
  size_t segment, left;  // steps left in the segment
} Reader;

OAQ_INLINE Reader read_from(const OaqRows* rows, const int8_t* first, const void* b) {
  return (Reader){rows, first, first + rows->offsets[0], b, rows->stride, 0, rows->segment_steps};
}

// After so many steps, which end the segment at most: on to the next one. `whole`, a constant:
// there is but one segment, which needs no counting.
OAQ_INLINE void advance(Reader* reader, size_t steps, bool whole) {
  if (whole) return;
  reader->left -= steps;
  if (reader->left == 0 && ++reader->segment < reader->rows->num_segments) {
    reader->left = reader->rows->segment_steps;
    reader->a = reader->first + reader->rows->offsets[reader->segment];
  }
}

#endif  // OAQ_CORE_ROW_READER_H_
