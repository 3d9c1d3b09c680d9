// SPDX-License-Identifier: Apache-2.0
#include "core/placement.h"

#include <string.h>

#include "core/size.h"

// Elements of a block from `begin` on that are inside of the image.
static size_t inside(const OaqPlacementAxis* axis, size_t begin) {
  return oaq_min_size((size_t)axis->block, (size_t)axis->size - begin);
}

static size_t begin_of(const OaqPlacementAxis* axis, size_t index) {
  return (size_t)axis->first + index * (size_t)axis->step;
}

void oaq_placement_copy(const OaqPlacement* placement, size_t first_output, size_t count,
                        size_t first_channel, size_t end_channel, const int8_t* codes,
                        size_t stride, int8_t* images) {
  const OaqPlacementAxis* height = &placement->height;
  const OaqPlacementAxis* width = &placement->width;
  const size_t columns = (size_t)width->count, lines = (size_t)height->count;
  const size_t line_size = (size_t)width->size * placement->channels;
  const size_t block_size = (size_t)width->block * placement->channels;
  for (size_t i = first_output; i < first_output + count; ++i, codes += stride) {
    const size_t x = begin_of(width, i % columns), y = begin_of(height, i / columns % lines);
    const size_t piece = inside(width, x) * placement->channels;
    int8_t* out = images + (i / columns / lines * (size_t)height->size + y) * line_size +
                  x * placement->channels;
    // The block's line `row` holds channels from row * block_size on.
    for (size_t row = 0; row < inside(height, y); ++row, out += line_size) {
      const size_t start = row * block_size;
      const size_t from = first_channel > start ? first_channel : start;
      const size_t to = oaq_min_size(end_channel, start + piece);
      if (from < to) memcpy(out + (from - start), codes + from, to - from);
    }
  }
}
