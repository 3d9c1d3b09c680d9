// SPDX-License-Identifier: Apache-2.0
#include "core/pad.h"

#include <stdbool.h>
#include <string.h>

static bool is_inside(const OaqPad* pad, size_t dimension, size_t index) {
  const size_t before = pad->before[dimension];
  return index >= before && index - before < pad->input[dimension];
}

static void pad_pixels(const OaqPad* pad, const uint8_t* in, uint8_t* out) {
  const size_t channels = pad->input[3], pixel = pad->output[3];
  for (size_t x = 0; x < pad->input[2]; ++x, in += channels, out += pixel) {
    memset(out, pad->code, pixel);
    memcpy(out + pad->before[3], in, channels);
  }
}

static void pad_line(const OaqPad* pad, const uint8_t* in, uint8_t* out) {
  const size_t pixel = pad->output[3];
  const size_t before = pad->before[2] * pixel, inside = pad->input[2] * pixel;
  memset(out, pad->code, before);
  if (pad->input[3] == pixel) {
    memcpy(out + before, in, inside);
  } else {
    pad_pixels(pad, in, out + before);
  }
  memset(out + before + inside, pad->code, pad->output[2] * pixel - before - inside);
}

void oaq_pad_run(const OaqPad* pad, const uint8_t* in, uint8_t* out) {
  size_t empty = 0;
  for (size_t d = 0; d < OAQ_PAD_DIMENSIONS; ++d) empty += pad->input[d] == 0 ? 1 : 0;
  const size_t line = pad->output[2] * pad->output[3];
  const size_t input_line = pad->input[2] * pad->input[3];
  for (size_t n = 0; n < pad->output[0]; ++n) {
    for (size_t y = 0; y < pad->output[1]; ++y, out += line) {
      if (empty == 0 && is_inside(pad, 0, n) && is_inside(pad, 1, y)) {
        pad_line(pad, in, out);
        in += input_line;
      } else {
        memset(out, pad->code, line);
      }
    }
  }
}
