// SPDX-License-Identifier: Apache-2.0
#include "core/gemm.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

// A panel of this size leaves room for a tile of weights in the first-level caches of 32 KiB; one
// row may be longer.
enum { kPanelBytes = 16 * 1024 };

bool oaq_panels_init(size_t products, const OaqGemm* gemm, bool wide, OaqPanels* panels,
                     OaqError* error) {
  const size_t steps = oaq_layout_steps(gemm->layout, products);
  *panels = (OaqPanels){.wide = wide};
  if (!oaq_size_multiply(steps, oaq_layout_step(gemm->layout), &panels->row_size) ||
      panels->row_size > SIZE_MAX / (2 * sizeof(int16_t) * kPanelBytes)) {
    return oaq_fail(error, "%zu products an output are too many", products);
  }
  const size_t calls = kPanelBytes / (panels->row_size * gemm->rows);
  panels->max_rows = (calls > 0 ? calls : 1) * gemm->rows;
  return true;
}

bool oaq_panels_reserve(OaqPanels* panels, size_t count, OaqError* error) {
  if (count <= panels->count) return true;
  OaqPanel* grown = realloc(panels->panels, count * sizeof(*grown));
  if (grown == NULL) return oaq_fail(error, "out of memory for %zu panels", count);
  panels->panels = grown;
  for (; panels->count < count; ++panels->count) {
    OaqPanel panel = {.codes = calloc(panels->max_rows, panels->row_size)};
    if (panels->wide) panel.wide = calloc(panels->max_rows, panels->row_size * sizeof(int16_t));
    if (panel.codes == NULL || (panels->wide && panel.wide == NULL)) {
      free(panel.codes);
      free(panel.wide);
      return oaq_fail(error, "out of memory for rows of %zu products", panels->row_size);
    }
    grown[panels->count] = panel;
  }
  return true;
}

void oaq_panels_free(OaqPanels* panels) {
  for (size_t i = 0; i < panels->count; ++i) {
    free(panels->panels[i].codes);
    free(panels->panels[i].wide);
  }
  free(panels->panels);
  *panels = (OaqPanels){0};
}

OaqRows oaq_panel_finish(const OaqPanels* panels, const OaqPanel* panel, size_t rows,
                         int32_t shift) {
  const size_t count = rows * panels->row_size;
  for (size_t i = 0; panel->wide != NULL && i < count; ++i) {
    panel->wide[i] = (int16_t)(panel->codes[i] - shift);
  }
  const uint8_t low = (uint8_t)shift;
  uint8_t* codes = (uint8_t*)panel->codes;
  for (size_t i = 0; low != 0 && i < count; ++i) codes[i] = (uint8_t)(codes[i] - low);
  return (OaqRows){panel->codes, panel->wide, panels->row_size, panels->row_size * sizeof(int16_t)};
}

bool oaq_gemm_reads_in_place(const OaqPacked* weights, const OaqGemm* gemm, bool any_codes) {
  return weights->shift == 0 && !weights->any_wide && !(any_codes && gemm->shifted) &&
         weights->products % oaq_layout_step(weights->layout) == 0;
}

// Any codes times the weights of an int16 tile, for families whose kernels take none but those of
// the range. Seldom run: only for an op that was registered without the delegate.
static void multiply_any_codes(size_t rows, const OaqPacked* weights, const int16_t* a,
                               size_t a_stride, const int8_t* b, const int32_t* bias,
                               int32_t* acc) {
  const size_t channels = weights->layout->channels_per_tile;
  const size_t step = oaq_layout_step(weights->layout);
  for (size_t m = 0; m < rows; ++m) {
    const int16_t* row = (const void*)((const char*)a + m * a_stride);
    for (size_t n = 0; n < channels; ++n) {
      uint32_t sum = (uint32_t)bias[n];
      for (size_t k = 0; k < weights->steps * step; ++k) {
        const int32_t product = row[k] * b[(k / step * channels + n) * step + k % step];
        sum += (uint32_t)product;
      }
      acc[m * channels + n] = (int32_t)sum;
    }
  }
}

static void multiply_tile(const OaqRows* rows, size_t first, size_t count, const OaqPacked* weights,
                          size_t index, const OaqGemm* gemm, bool any_codes, int32_t* acc) {
  const OaqTile* tile = &weights->tiles[index];
  const size_t channel = index * weights->layout->channels_per_tile;
  const int32_t* exact = weights->bias_exact + channel;
  const void* codes = (const char*)rows->codes + first * rows->stride;
  const int16_t* wide = rows->wide == NULL
                            ? NULL
                            : (const void*)((const char*)rows->wide + first * rows->wide_stride);
  if (tile->wide) {
    const size_t pairs = weights->steps * (oaq_layout_step(weights->layout) / 2);
    gemm->i32(count, pairs, wide, rows->wide_stride, tile->weights, exact, acc);
  } else if (any_codes && gemm->shifted) {
    multiply_any_codes(count, weights, wide, rows->wide_stride, tile->weights, exact, acc);
  } else if (tile->int16 && !any_codes) {
    OAQ_COUNTING(oaq_count_gemm(count, gemm, &tile->drains, codes, rows->stride, tile->weights);)
    gemm->i16(count, &tile->drains, codes, rows->stride, tile->weights,
              weights->bias_int16 + channel, acc);
  } else {
    gemm->i32(count, weights->steps, codes, rows->stride, tile->weights, exact, acc);
  }
}

void oaq_gemm(const OaqRows* rows, size_t count, const OaqTiles* tiles, const OaqKernels* kernels,
              const OaqOutputStage* stage, bool any_codes, int8_t* out, size_t out_stride) {
  _Alignas(64) int32_t acc[OAQ_MAX_GEMM_ROWS * OAQ_MAX_TILE_CHANNELS];
  const OaqPacked* weights = tiles->weights;
  const size_t per_tile = weights->layout->channels_per_tile;
  for (size_t index = tiles->first_tile; index < tiles->end_tile; ++index) {
    const size_t n = index * per_tile;
    const size_t channels = oaq_min_size(per_tile, weights->channels - n);
    for (size_t m = 0; m < count; m += kernels->gemm.rows) {
      const size_t call = oaq_min_size(kernels->gemm.rows, count - m);
      multiply_tile(rows, m, call, weights, index, &kernels->gemm, any_codes, acc);
      kernels->output(stage, tiles->first_channel + n, channels, call, acc, per_tile,
                      out + m * out_stride + n, out_stride);
    }
  }
}
