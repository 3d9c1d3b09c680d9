// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_PLACEMENT_H_
#define OAQ_CORE_PLACEMENT_H_

#include <stddef.h>
#include <stdint.h>

// Where the outputs of a convolution lie in a larger image: of those that TRANSPOSE_CONV is made
// of.

// Along one axis. Output k is elements [first + k * step, first + k * step + block) of the image,
// as far as it goes; its window begins k - padding elements into the input. `padding` may be
// negative.
typedef struct OaqPlacementAxis {
  int32_t count, padding;  // outputs, input elements before the first
  int32_t first, step, block;
  int32_t size;  // of the image
} OaqPlacementAxis;

// An output's channels are [height.block][width.block][channels].
typedef struct OaqPlacement {
  OaqPlacementAxis height, width;
  size_t channels;  // of the image; 0: outputs lie one after the other, and nothing else matters
} OaqPlacement;

// Copies channels [first_channel, end_channel) of `count` outputs from `first_output` on, all
// images' in order, from codes[count][stride] to where they lie in `images`.
void oaq_placement_copy(const OaqPlacement* placement, size_t first_output, size_t count,
                        size_t first_channel, size_t end_channel, const int8_t* codes,
                        size_t stride, int8_t* images);

#endif  // OAQ_CORE_PLACEMENT_H_
