// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_DEPTHWISE_ORDER_H_
#define OAQ_CORE_DEPTHWISE_ORDER_H_

#include <stddef.h>

#include "core/layout.h"

// Where a tap is in its filter.
typedef struct OaqTap {
  size_t row, column;
} OaqTap;

// The order in which a lane of `layout` adds the taps of a filter, into order[height * width]. One
// tap a step: as in the file. Two: rows 0 and 1 in pairs from column to column, (0,0) (1,0), (0,1)
// (1,1), ..., then rows 2 and 3, ...; the last row of an odd number by itself, from left to right.
// A pair of rows, interleaved once, then serves every output column that reads it.
void oaq_depthwise_order(const OaqLayout* layout, size_t height, size_t width, OaqTap* order);

#endif  // OAQ_CORE_DEPTHWISE_ORDER_H_
