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
  size_t steps, max_rows;
} OaqPanel;

bool oaq_panel_create(size_t products, OaqPanel* panel, OaqError* error);
void oaq_panel_free(OaqPanel* panel);

// Puts `codes`, one row's products, into the panel as row `index`.
void oaq_panel_set_row(OaqPanel* panel, size_t index, const int8_t* codes, size_t products);

// out[row * row_stride + n] = requantized sum for the panel's first `rows` rows and all n channels
// of `weights`, whose multipliers start at `first_channel`. int16 false: the exact path throughout.
void oaq_gemm(const OaqPanel* panel, size_t rows, const OaqPacked* weights,
              const OaqKernels* kernels, const OaqRequantize* requantize, size_t first_channel,
              bool int16, int8_t* out, size_t row_stride);

#endif  // OAQ_CORE_GEMM_H_
