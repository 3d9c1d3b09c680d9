// SPDX-License-Identifier: Apache-2.0
#include "core/gemm.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

enum {
  kRowsStep = OAQ_GEMM_ROWS * OAQ_GEMM_LANES,
  // A panel and one weight tile stay within the smallest first-level caches (16 KiB).
  kPanelBytes = 12 * 1024,
};

bool oaq_panels_init(size_t products, OaqPanels* panels, OaqError* error) {
  *panels = (OaqPanels){.products = products, .steps = oaq_ceil_div(products, OAQ_GEMM_LANES)};
  size_t tile_bytes = 0;
  if (!oaq_size_multiply(panels->steps, kRowsStep, &tile_bytes)) {
    return oaq_fail(error, "%zu products an output are too many", products);
  }
  const size_t tiles = tile_bytes > 0 && tile_bytes < kPanelBytes ? kPanelBytes / tile_bytes : 1;
  panels->max_rows = tiles * OAQ_GEMM_ROWS;
  return true;
}

bool oaq_panels_reserve(OaqPanels* panels, size_t count, OaqError* error) {
  if (count <= panels->count) return true;
  OaqPanel* grown = realloc(panels->panels, count * sizeof(*grown));
  if (grown == NULL) return oaq_fail(error, "out of memory for %zu panels", count);
  panels->panels = grown;
  for (; panels->count < count; ++panels->count) {
    OaqPanel panel = {.steps = panels->steps};
    panel.codes = calloc(panels->max_rows, panel.steps * OAQ_GEMM_LANES);
    panel.row = calloc(panel.steps, OAQ_GEMM_LANES);
    if (panel.codes == NULL || panel.row == NULL) {
      free(panel.codes);
      free(panel.row);
      return oaq_fail(error, "out of memory for a panel of %zu products", panels->products);
    }
    grown[panels->count] = panel;
  }
  return true;
}

void oaq_panels_free(OaqPanels* panels) {
  for (size_t i = 0; i < panels->count; ++i) {
    free(panels->panels[i].codes);
    free(panels->panels[i].row);
  }
  free(panels->panels);
  *panels = (OaqPanels){0};
}

void oaq_panel_set_row(OaqPanel* panel, size_t index, const int8_t* codes, size_t products) {
  int8_t* out = panel->codes + index / OAQ_GEMM_ROWS * panel->steps * kRowsStep +
                index % OAQ_GEMM_ROWS * OAQ_GEMM_LANES;
  const size_t whole = products / OAQ_GEMM_LANES;
  for (size_t step = 0; step < whole; ++step) {
    memcpy(out + step * kRowsStep, codes + step * OAQ_GEMM_LANES, OAQ_GEMM_LANES);
  }
  // The weights of the padded products are zero, so what is left in the panel there does not
  // matter.
  if (whole < panel->steps) {
    memcpy(out + whole * kRowsStep, codes + whole * OAQ_GEMM_LANES,
           products - whole * OAQ_GEMM_LANES);
  }
}

static void store_tile(const int32_t* acc, size_t rows, size_t channels, const int32_t* bias,
                       const OaqRequantize* requantize, size_t first_channel, int8_t* out,
                       size_t row_stride) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      const int32_t sum = oaq_wrap_add(acc[m * OAQ_GEMM_CHANNELS + n], bias[n]);
      out[m * row_stride + n] = oaq_requantize(requantize, first_channel + n, sum);
    }
  }
}

void oaq_gemm(const OaqPanel* panel, size_t rows, const OaqTiles* tiles, const OaqKernels* kernels,
              const OaqRequantize* requantize, bool int16, int8_t* out, size_t row_stride) {
  const OaqPacked* weights = tiles->weights;
  for (size_t index = tiles->first_tile; index < tiles->end_tile; ++index) {
    const OaqTile* tile = &weights->tiles[index];
    const bool tile_int16 = int16 && tile->int16;
    const int8_t* b = oaq_packed_tile(weights, index);
    const size_t n = index * OAQ_GEMM_CHANNELS;
    const size_t channels = oaq_min_size(OAQ_GEMM_CHANNELS, weights->channels - n);
    const int32_t* bias = (tile_int16 ? weights->bias_int16 : weights->bias_exact) + n;
    for (size_t m = 0; m < rows; m += OAQ_GEMM_ROWS) {
      const int8_t* a = panel->codes + m / OAQ_GEMM_ROWS * panel->steps * kRowsStep;
      const size_t tile_rows = oaq_min_size(OAQ_GEMM_ROWS, rows - m);
      int32_t acc[OAQ_GEMM_ROWS * OAQ_GEMM_CHANNELS];
      if (tile_int16) {
        kernels->gemm_i16(tile_rows, &tile->drains, a, b, acc);
      } else {
        kernels->gemm_i32(tile_rows, weights->steps, a, b, acc);
      }
      store_tile(acc, tile_rows, channels, bias, requantize, tiles->first_channel + n,
                 out + m * row_stride + n, row_stride);
    }
  }
}
