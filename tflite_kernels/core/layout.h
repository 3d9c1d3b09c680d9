// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_LAYOUT_H_
#define OAQ_CORE_LAYOUT_H_

#include <stddef.h>

// A lane layout says which of an output's K products a lane sees, in which order. Products are
// numbered in the order of the weights in the file (OHWI for CONV_2D, taps row by row for
// DEPTHWISE_CONV_2D). A kernel takes them a step at a time: `lanes * per_lane` products, of which
// lane l gets the `per_lane` consecutive ones that start at l * per_lane.
typedef struct OaqLayout {
  const char* name;
  size_t lanes;
  size_t per_lane;           // products a lane adds in one step
  size_t channels_per_tile;  // output channels that share one drain list
} OaqLayout;

enum { OAQ_MAX_LANES = 8, OAQ_MAX_TILE_CHANNELS = 16 };

extern const OaqLayout oaq_layout_c8;         // ARM: lane = k mod 8
extern const OaqLayout oaq_layout_c4;         // x86: lane 0 sees k mod 4 in {0,1}, lane 1 {2,3}
extern const OaqLayout oaq_layout_broadcast;  // small K: a lane is an output channel
extern const OaqLayout oaq_layout_channel;    // depthwise: a lane is a channel, all taps

// Products in one step.
static inline size_t oaq_layout_step(const OaqLayout* layout) {
  return layout->lanes * layout->per_lane;
}

// Steps that `products` take, the last one padded with zero weights.
size_t oaq_layout_steps(const OaqLayout* layout, size_t products);

// The lane that product k falls into.
static inline size_t oaq_layout_lane(const OaqLayout* layout, size_t k) {
  return k / layout->per_lane % layout->lanes;
}

#endif  // OAQ_CORE_LAYOUT_H_
