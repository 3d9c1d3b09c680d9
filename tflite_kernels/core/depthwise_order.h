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
// tap a step: as in the file. Two: first and last row in pairs from column to column, (0,0)
// (h-1,0), (0,1) (h-1,1), ..., then the second row and the last but one, ...; the middle row of an
// odd number by itself, its first and last column, its second and last but one, ..., its middle
// column. A pair of rows, interleaved once, serves every output column that reads it. Filters have
// their largest weights in the middle: pairs of taps far from each other seldom saturate.
void oaq_depthwise_order(const OaqLayout* layout, size_t height, size_t width, OaqTap* order);

#endif  // OAQ_CORE_DEPTHWISE_ORDER_H_
