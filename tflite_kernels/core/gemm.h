// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_GEMM_H_
#define OAQ_CORE_GEMM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels.h"
#include "core/pack.h"

// What CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV share: rows of activation codes times packed
// weights.

// Rows in the forms that kernels want: `lines` times `columns` of them.
typedef struct OaqInput {
  OaqRows codes;  // int8, or uint8 less the shift
  OaqRows wide;   // the same as int16, for the exact kernels that want it; codes NULL where none do
  size_t line_stride, wide_line_stride;  // from line to line, in bytes
  size_t lines, columns;
} OaqInput;

// Scratch for gathered rows.
typedef struct OaqPanel {
  int8_t* codes;
  int16_t* wide;  // NULL where no tile wants it
} OaqPanel;

// Short pieces are copied into rows so many bytes at once.
enum { OAQ_ROW_SLACK = 16 };

// A panel for each worker, in its scratch.
typedef struct OaqPanels {
  size_t max_rows;
  size_t row_size;  // codes in a row: products padded to whole steps
  bool wide;
  size_t codes_offset, wide_offset;  // in a worker's block
} OaqPanels;

// For rows of `products`. `wide`: some tile is wide, or the op may meet any codes.
bool oaq_panels_init(size_t products, const OaqGemm* gemm, bool wide, OaqPanels* panels,
                     OaqError* error);

// Adds a panel of `rows` <= max_rows rows to what a worker's block holds.
bool oaq_panels_add(OaqPanels* panels, size_t rows, size_t* size, OaqError* error);

// The panel in a worker's block, which is NULL for an op that needs none.
static inline OaqPanel oaq_panels_at(const OaqPanels* panels, char* block) {
  if (block == NULL) return (OaqPanel){NULL, NULL};
  void* wide = panels->wide ? block + panels->wide_offset : NULL;
  return (OaqPanel){(int8_t*)block + panels->codes_offset, wide};
}

// Where row `index` of a panel is to be written, as codes of the tensor.
static inline int8_t* oaq_panel_row(const OaqPanels* panels, const OaqPanel* panel, size_t index) {
  return panel->codes + index * panels->row_size;
}

// Shifts and widens the first `rows` rows, which hold codes of the tensor, for `weights` of no more
// products than the panel's rows have.
OaqInput oaq_panel_finish(const OaqPanels* panels, const OaqPanel* panel, size_t rows,
                          const OaqPacked* weights);

// The same where the rows are shifted already.
OaqInput oaq_panel_finish_shifted(const OaqPanels* panels, const OaqPanel* panel, size_t rows,
                                  const OaqPacked* weights);

// Whether `weights` can read codes of the tensor where they lie.
bool oaq_gemm_reads_in_place(const OaqPacked* weights, const OaqGemm* gemm, bool any_codes);

// `rows` rows of the tensor, one after the other.
OaqInput oaq_rows_in_place(const OaqPacked* weights, const int8_t* codes, size_t rows);

// codes[i] less `shift`, modulo 2^8.
void oaq_shift_codes(const int8_t* codes, size_t count, int32_t shift, uint8_t* out);

// Tiles [first_tile, end_tile) of packed weights.
typedef struct OaqTiles {
  const OaqPacked* weights;
  size_t first_tile, end_tile;
  size_t first_channel;  // where the weights' multipliers start
} OaqTiles;

// out[row * out_stride + n] = code of the sum for all rows, line by line, and the channels n of
// `tiles`. any_codes: rows may hold codes outside the range that the weights were packed for; the
// exact path throughout.
void oaq_gemm(const OaqInput* input, const OaqTiles* tiles, const OaqGemm* gemm, OaqOutput output,
              const OaqOutputStage* stage, bool any_codes, int8_t* out, size_t out_stride);

#endif  // OAQ_CORE_GEMM_H_
