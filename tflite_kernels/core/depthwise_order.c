// SPDX-License-Identifier: Apache-2.0
#include "core/depthwise_order.h"

// Pairs of elements that mirror each other, from the outermost on, then the middle one of an odd
// number: index 0, count - 1, 1, count - 2, ...
static size_t mirrored(size_t count, size_t index) {
  return index % 2 == 0 ? index / 2 : count - 1 - index / 2;
}

void oaq_depthwise_order(const OaqLayout* layout, size_t height, size_t width, OaqTap* order) {
  if (layout->per_lane == 1) {
    for (size_t t = 0; t < height * width; ++t) order[t] = (OaqTap){t / width, t % width};
    return;
  }
  for (size_t top = 0; top < height / 2; ++top) {
    for (size_t column = 0; column < width; ++column) {
      *order++ = (OaqTap){top, column};
      *order++ = (OaqTap){height - 1 - top, column};
    }
  }
  for (size_t i = 0; height % 2 == 1 && i < width; ++i) {
    *order++ = (OaqTap){height / 2, mirrored(width, i)};
  }
}
