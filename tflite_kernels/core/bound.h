// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_BOUND_H_
#define OAQ_CORE_BOUND_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/layout.h"

// The proof that int16 lanes do not overflow (docs/format.md; A2Q, arXiv 2308.13504, bounds the
// same L1 norm). A lane is arithmetic modulo 2^16, so only its value at a drain has to fit, and a
// constant start value may centre it. For activation codes in [lo, hi] and a block B of weight
// codes q the lane's sums span exactly (hi - lo) * sum_B |q|.

// Every code an activation tensor can hold, both ends included; lo <= hi.
typedef struct OaqRange {
  int32_t lo, hi;
} OaqRange;

// The codes of one weights tensor, seen as [channels][products].
typedef struct OaqWeights {
  const int8_t* codes;
  size_t channels, products;
  size_t channel_stride, product_stride;  // in codes
} OaqWeights;

static inline int8_t oaq_weight(const OaqWeights* weights, size_t channel, size_t product) {
  return weights->codes[channel * weights->channel_stride + product * weights->product_stride];
}

// Sums of a block's positive codes and of its negative codes' absolute values.
typedef struct OaqLaneSums {
  int64_t positive, negative;
} OaqLaneSums;

void oaq_lane_sums_add(OaqLaneSums* sums, int8_t code);

// (hi - lo) * l1 <= 65535: some start value keeps the lane in 16 bits for every input.
bool oaq_block_is_safe(OaqRange range, uint64_t l1);

// The stricter test for start value zero: both ends of the lane's sums fit an int16.
bool oaq_zero_start_is_safe(OaqRange range, OaqLaneSums sums);

// Zero where that is safe, else the value that centres the lane's sums in [-32768, 32767]. The lane
// starts at its lowest 16 bits; what is drained exceeds the block's sum by the whole of it.
int64_t oaq_start_value(OaqRange range, OaqLaneSums sums);

// Whether lanes may be added in 16 bits: whether the ends of what they hold together fit an int16.
// `sums` are those of all of them, and `start` is the sum of their start values.
bool oaq_lanes_fit(OaqRange range, OaqLaneSums sums, int64_t start);

// Lengths, in steps, of the longest safe blocks from the first step on, for all lanes of one tile.
// `tile` holds its codes as packed, [steps][channels_per_tile][lanes * per_lane]; activations are
// in `range`; `blocks` has room for `steps` entries. Returns the number of blocks. Greedy: no
// cutting into uniform blocks needs fewer drains. One step is always safe.
size_t oaq_drain_list(const int8_t* tile, const OaqLayout* layout, size_t steps, OaqRange range,
                      uint32_t* blocks);

// Whether no pair of products saturates an instruction that adds two of them, u8 by s8, in 16 bits
// (VPMADDUBSW); activations are in [0, width]. `tile` as above, of a layout with pairs.
bool oaq_pairs_are_safe(const int8_t* tile, const OaqLayout* layout, size_t steps, int32_t width);

// Whether the products of any two neighbouring steps of a tile fit a lane of 16 bits together,
// whatever the activations: only 128 * 128 + 128 * 128 does not.
bool oaq_neighbours_fit(const int8_t* tile, const OaqLayout* layout, size_t steps);

#endif  // OAQ_CORE_BOUND_H_
