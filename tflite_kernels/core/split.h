// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_SPLIT_H_
#define OAQ_CORE_SPLIT_H_

#include "core/threads.h"

// How an op's outputs, rows (output positions) times tiles of channels, are cut into parts for the
// threads. Every output code is computed by one part from its first product to its last, so results
// depend neither on the number of threads nor on who takes which part.
typedef struct OaqSplit {
  size_t rows, tiles;            // of the whole
  size_t part_rows, part_tiles;  // of a part; the last ones may be smaller
  size_t parts, workers;         // workers is 1 where the work is not worth a second thread
} OaqSplit;

// The outputs of one part.
typedef struct OaqPart {
  size_t first_row, rows, first_tile, end_tile;
} OaqPart;

// `max_rows` a part, cut at multiples of `row_step`; `row_macs` multiplications a row.
OaqSplit oaq_split(const OaqThreads* threads, size_t rows, size_t max_rows, size_t row_step,
                   size_t tiles, double row_macs);

OaqPart oaq_split_part(const OaqSplit* split, size_t part);

#endif  // OAQ_CORE_SPLIT_H_
