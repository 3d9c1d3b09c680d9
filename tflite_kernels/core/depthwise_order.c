// SPDX-License-Identifier: Apache-2.0
#include "core/depthwise_order.h"

#include "core/size.h"

void oaq_depthwise_order(const OaqLayout* layout, size_t height, size_t width, OaqTap* order) {
  for (size_t top = 0; top < height; top += layout->per_lane) {
    const size_t end = oaq_min_size(top + layout->per_lane, height);
    for (size_t column = 0; column < width; ++column) {
      for (size_t row = top; row < end; ++row) *order++ = (OaqTap){row, column};
    }
  }
}
