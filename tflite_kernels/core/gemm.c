// SPDX-License-Identifier: Apache-2.0
#include "core/gemm.h"

#include "core/size.h"

// A panel of this size leaves room for a tile of weights in the first-level caches of 32 KiB; one
// row may be longer. So many sums are made before the output stage, which loads its channels each
// time.
enum { kPanelBytes = 16 * 1024, kSums = 1536 };

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

bool oaq_panels_add(OaqPanels* panels, size_t rows, size_t* size, OaqError* error) {
  const size_t codes = rows * panels->row_size;
  const bool fits =
      oaq_scratch_add(codes + OAQ_ROW_SLACK, 1, size, &panels->codes_offset) &&
      (!panels->wide || oaq_scratch_add(codes, sizeof(int16_t), size, &panels->wide_offset));
  return fits || oaq_fail(error, "rows of %zu products are too long", panels->row_size);
}

static const size_t kNoOffset[] = {0};

static OaqRows one_segment(const void* codes, size_t stride, size_t steps) {
  return (OaqRows){codes, stride, kNoOffset, 1, steps};
}

void oaq_shift_codes(const int8_t* codes, size_t count, int32_t shift, uint8_t* out) {
  const uint8_t low = (uint8_t)shift;
  for (size_t i = 0; i < count; ++i) out[i] = (uint8_t)((uint8_t)codes[i] - low);
}

static OaqInput panel_input(const OaqPanels* panels, const OaqPanel* panel, size_t rows,
                            const OaqPacked* weights) {
  // A wide step is two products.
  const size_t wide_steps = weights->steps * (oaq_layout_step(weights->layout) / 2);
  return (OaqInput){
      .codes = one_segment(panel->codes, panels->row_size, weights->steps),
      .wide = one_segment(panel->wide, panels->row_size * sizeof(int16_t), wide_steps),
      .lines = 1,
      .columns = rows};
}

OaqInput oaq_panel_finish(const OaqPanels* panels, const OaqPanel* panel, size_t rows,
                          const OaqPacked* weights) {
  const size_t count = rows * panels->row_size;
  const int32_t shift = weights->shift;
  for (size_t i = 0; panel->wide != NULL && i < count; ++i) {
    panel->wide[i] = (int16_t)(panel->codes[i] - shift);
  }
  if (shift != 0) oaq_shift_codes(panel->codes, count, shift, (uint8_t*)panel->codes);
  return panel_input(panels, panel, rows, weights);
}

OaqInput oaq_panel_finish_shifted(const OaqPanels* panels, const OaqPanel* panel, size_t rows,
                                  const OaqPacked* weights) {
  const uint8_t* codes = (const uint8_t*)panel->codes;
  for (size_t i = 0; panel->wide != NULL && i < rows * panels->row_size; ++i) {
    panel->wide[i] = codes[i];
  }
  return panel_input(panels, panel, rows, weights);
}

bool oaq_gemm_reads_in_place(const OaqPacked* weights, const OaqGemm* gemm, bool any_codes) {
  return weights->shift == 0 && !weights->any_wide && !(any_codes && gemm->shifted) &&
         weights->products % oaq_layout_granule(weights->layout) == 0;
}

OaqInput oaq_rows_in_place(const OaqPacked* weights, const int8_t* codes, size_t rows) {
  return (OaqInput){
      .codes = one_segment(codes, weights->products, weights->steps), .lines = 1, .columns = rows};
}

// Any codes times the weights of an int16 tile, for families whose kernels take none but those of
// the range. Seldom run: only for an op that was registered without the delegate.
static void multiply_any_codes(size_t rows, const OaqPacked* weights, const OaqRows* a,
                               const int8_t* b, const int32_t* bias, int32_t* acc) {
  const size_t channels = weights->layout->channels_per_tile;
  const size_t step = oaq_layout_step(weights->layout);
  for (size_t m = 0; m < rows; ++m) {
    const int16_t* row = (const void*)((const char*)a->codes + m * a->stride);
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

// The rows from row `column` of line `line` on.
static OaqRows rows_from(const OaqRows* rows, size_t line, size_t line_stride, size_t column) {
  OaqRows from = *rows;
  if (from.codes == NULL) return from;
  from.codes = (const char*)rows->codes + line * line_stride + column * rows->stride;
  return from;
}

static void multiply_tile(const OaqRows* codes, const OaqRows* wide, size_t rows,
                          const OaqPacked* weights, size_t index, const OaqGemm* gemm,
                          bool any_codes, int32_t* acc) {
  const OaqTile* tile = &weights->tiles[index];
  const size_t channel = index * weights->layout->channels_per_tile;
  const int32_t* exact = weights->bias_exact + channel;
  if (tile->wide) {
    gemm->i32(rows, wide, tile->weights, exact, acc);
  } else if (any_codes && gemm->shifted) {
    multiply_any_codes(rows, weights, wide, tile->weights, exact, acc);
  } else if (tile->int16 && !any_codes) {
    OAQ_COUNTING(oaq_count_gemm(rows, gemm, &tile->drains, codes, tile->weights);)
    gemm->i16(rows, &tile->drains, codes, tile->weights, weights->bias_int16 + channel, acc);
  } else {
    (tile->paired ? gemm->i32_pairs : gemm->i32)(rows, codes, tile->weights, exact, acc);
  }
}

// Codes of all rows and a whole tile, without sums in memory.
static void multiply_into_codes(const OaqInput* input, const OaqTiles* tiles, size_t index,
                                const OaqGemm* gemm, const OaqOutputStage* stage, int8_t* out,
                                size_t out_stride) {
  const OaqPacked* weights = tiles->weights;
  const OaqTile* tile = &weights->tiles[index];
  const size_t n = index * weights->layout->channels_per_tile;
  for (size_t line = 0; line < input->lines; ++line) {
    const OaqRows codes = rows_from(&input->codes, line, input->line_stride, 0);
    OAQ_COUNTING(oaq_count_gemm(input->columns, gemm, &tile->drains, &codes, tile->weights);)
    gemm->i16_codes(input->columns, &tile->drains, &codes, tile->weights, weights->bias_int16 + n,
                    stage, tiles->first_channel + n, out, out_stride);
    out += input->columns * out_stride;
  }
}

void oaq_gemm(const OaqInput* input, const OaqTiles* tiles, const OaqGemm* gemm, OaqOutput output,
              const OaqOutputStage* stage, bool any_codes, int8_t* out, size_t out_stride) {
  // Output stages read ahead.
  _Alignas(64) int32_t acc[kSums + 16];
  // Once a part: asking takes a small share of its time.
  if (gemm->of_this_core != NULL) gemm = gemm->of_this_core();
  const OaqPacked* weights = tiles->weights;
  const size_t per_tile = weights->layout->channels_per_tile;
  const size_t at_once = kSums / per_tile / gemm->rows * gemm->rows;
  const bool into_codes = gemm->i16_codes != NULL && !any_codes;
  for (size_t index = tiles->first_tile; index < tiles->end_tile; ++index) {
    const size_t n = index * per_tile;
    const size_t channels = oaq_min_size(per_tile, weights->channels - n);
    int8_t* results = out + n;
    if (into_codes && weights->tiles[index].int16 && channels == per_tile &&
        oaq_output_stage_is_plain(stage, tiles->first_channel + n, channels)) {
      multiply_into_codes(input, tiles, index, gemm, stage, results, out_stride);
      continue;
    }
    size_t held = 0;  // rows of sums, of short lines together
    for (size_t line = 0; line < input->lines; ++line) {
      for (size_t m = 0, rows = 0; m < input->columns; m += rows) {
        rows = oaq_min_size(at_once, input->columns - m);
        if (held + rows > at_once) {
          output(stage, tiles->first_channel + n, channels, held, acc, per_tile, results,
                 out_stride);
          results += held * out_stride;
          held = 0;
        }
        const OaqRows codes = rows_from(&input->codes, line, input->line_stride, m);
        const OaqRows wide = rows_from(&input->wide, line, input->wide_line_stride, m);
        multiply_tile(&codes, &wide, rows, weights, index, gemm, any_codes, acc + held * per_tile);
        held += rows;
      }
    }
    output(stage, tiles->first_channel + n, channels, held, acc, per_tile, results, out_stride);
  }
}
