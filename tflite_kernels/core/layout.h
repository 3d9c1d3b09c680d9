// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_LAYOUT_H_
#define OAQ_CORE_LAYOUT_H_

#include <stdbool.h>
#include <stddef.h>

// A lane layout says which of an output's K products a lane sees, in which order. Products are
// numbered in the order of the weights in the file (OHWI for CONV_2D, taps row by row for
// DEPTHWISE_CONV_2D, but see `channel` in pairs). A kernel takes them a step at a time: `lanes *
// per_lane` products, of which lane l gets the `per_lane` consecutive ones that start at l *
// per_lane. How many output channels a kernel takes at once does not change what a lane sees.
typedef struct OaqLayout {
  const char* name;
  size_t lanes;
  size_t per_lane;           // products a lane adds in one step; 2: as a pair that saturates
  size_t channels_per_tile;  // output channels that share one drain list
  size_t at_once;            // steps; their number is rounded up to a multiple of it
  bool from_zero;            // lanes have no start values
} OaqLayout;

enum { OAQ_MAX_LANES = 8, OAQ_MAX_TILE_CHANNELS = 32, OAQ_MAX_TILE_LANES = 64 };

extern const OaqLayout oaq_layout_c8;         // ARM: lane = k mod 8
extern const OaqLayout oaq_layout_c8_8;       // the same, 8 channels a tile
extern const OaqLayout oaq_layout_c4_8;       // x86: lane 0 sees k mod 4 in {0,1}, lane 1 {2,3}
extern const OaqLayout oaq_layout_c4_16;      // the same, 16 channels a tile
extern const OaqLayout oaq_layout_c4_32;      // the same, 32
extern const OaqLayout oaq_layout_broadcast;  // ARM, in order: a lane is an output channel
extern const OaqLayout oaq_layout_channel;    // depthwise: a lane is a channel, all taps
// x86: the same, two taps a step, in the order of oaq_depthwise_order; 16 or 32 channels a tile.
extern const OaqLayout oaq_layout_channel_pairs_16;
extern const OaqLayout oaq_layout_channel_pairs_32;

// Products in one step.
static inline size_t oaq_layout_step(const OaqLayout* layout) {
  return layout->lanes * layout->per_lane;
}

// Products in the steps that kernels take at once: what rows are padded to.
static inline size_t oaq_layout_granule(const OaqLayout* layout) {
  return layout->at_once * oaq_layout_step(layout);
}

// Lanes of a tile.
static inline size_t oaq_layout_tile_lanes(const OaqLayout* layout) {
  return layout->channels_per_tile * layout->lanes;
}

// Steps that `products` take, the last one padded with zero weights.
size_t oaq_layout_steps(const OaqLayout* layout, size_t products);

// The lane that product k falls into.
static inline size_t oaq_layout_lane(const OaqLayout* layout, size_t k) {
  return k / layout->per_lane % layout->lanes;
}

#endif  // OAQ_CORE_LAYOUT_H_
