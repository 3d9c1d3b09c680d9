// SPDX-License-Identifier: Apache-2.0
#include "core/layout.h"

#include "core/size.h"

const OaqLayout oaq_layout_c8 = {"c8", 8, 1, 4, 1, false};
const OaqLayout oaq_layout_c8_8 = {"c8", 8, 1, 8, 1, false};
const OaqLayout oaq_layout_c4_8 = {"c4", 2, 2, 8, 1, false};
const OaqLayout oaq_layout_c4_16 = {"c4", 2, 2, 16, 1, false};
const OaqLayout oaq_layout_c4_32 = {"c4", 2, 2, 32, 1, false};
const OaqLayout oaq_layout_broadcast = {"broadcast", 1, 1, 16, 8, true};
const OaqLayout oaq_layout_channel = {"channel", 1, 1, 16, 1, false};
const OaqLayout oaq_layout_channel_pairs_16 = {"channel_pairs", 1, 2, 16, 1, false};
const OaqLayout oaq_layout_channel_pairs_32 = {"channel_pairs", 1, 2, 32, 1, false};

size_t oaq_layout_steps(const OaqLayout* layout, size_t products) {
  return oaq_ceil_div(products, oaq_layout_granule(layout)) * layout->at_once;
}
