// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_GEMM_H_
#define OAQ_CORE_GEMM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels.h"
#include "core/pack.h"
#include "core/requantize.h"

// What CONV_2D and FULLY_CONNECTED share: rows of activation codes times packed weights.

// Scratch for a panel of rows, packed as [panel tiles][steps][OAQ_GEMM_ROWS][OAQ_GEMM_LANES] and
// reused over all weight tiles.
typedef struct OaqPanel {
  int8_t* codes;
  int8_t* row;  // [steps * OAQ_GEMM_LANES]: one gathered row
  size_t steps;
} OaqPanel;

// A panel for each worker.
typedef struct OaqPanels {
  OaqPanel* panels;
  size_t count;
  size_t products, steps, max_rows;
} OaqPanels;

// No panels yet, for rows of `products`.
bool oaq_panels_init(size_t products, OaqPanels* panels, OaqError* error);

// Makes them at least `count`.
bool oaq_panels_reserve(OaqPanels* panels, size_t count, OaqError* error);
void oaq_panels_free(OaqPanels* panels);

// Puts `codes`, one row's products, into the panel as row `index`.
void oaq_panel_set_row(OaqPanel* panel, size_t index, const int8_t* codes, size_t products);

// Tiles [first_tile, end_tile) of packed weights.
typedef struct OaqTiles {
  const OaqPacked* weights;
  size_t first_tile, end_tile;
  size_t first_channel;  // where the weights' multipliers start
} OaqTiles;

// out[row * row_stride + n] = requantized sum for the panel's first `rows` rows and the channels n
// of `tiles`. int16 false: the exact path throughout.
void oaq_gemm(const OaqPanel* panel, size_t rows, const OaqTiles* tiles, const OaqKernels* kernels,
              const OaqRequantize* requantize, bool int16, int8_t* out, size_t row_stride);

#endif  // OAQ_CORE_GEMM_H_
