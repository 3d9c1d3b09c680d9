// SPDX-License-Identifier: Apache-2.0
#include "core/image_lines.h"

#include <stdlib.h>
#include <string.h>

#include "core/size.h"

enum { kCopyBytes = 64 * 1024 };

bool oaq_image_lines_init(const OaqWindow* height, const OaqWindow* width, size_t channels,
                          const OaqGemm* gemm, bool narrow, bool wide, OaqImageLines* lines,
                          OaqError* error) {
  const size_t segment = (size_t)width->filter * channels;
  const size_t step = oaq_layout_step(gemm->layout);
  const bool whole = segment % oaq_layout_granule(gemm->layout) == 0;
  const size_t count = (size_t)height->filter;
  *lines = (OaqImageLines){.height = *height,
                           .width = *width,
                           .channels = channels,
                           .offsets = calloc(count, sizeof(*lines->offsets)),
                           .wide_offsets = calloc(count, sizeof(*lines->wide_offsets)),
                           .segment_steps = whole ? segment / step : 0,
                           // Gathered rows are widened where they go.
                           .narrow = narrow || !whole,
                           .wide = wide && whole};
  if (lines->offsets == NULL || lines->wide_offsets == NULL) {
    oaq_image_lines_free(lines);
    return oaq_fail(error, "out of memory for a filter of %zu lines", count);
  }
  return true;
}

void oaq_image_lines_free(OaqImageLines* lines) {
  free(lines->offsets);
  free(lines->wide_offsets);
  *lines = (OaqImageLines){0};
}

// Input lines that `count` lines of outputs see.
static size_t seen_lines(const OaqWindow* height, size_t count) {
  return (count - 1) * (size_t)height->stride +
         (size_t)(height->filter - 1) * (size_t)height->dilation + 1;
}

// Bytes of a copy for `count` lines of outputs; false where that is too much.
static bool copy_size(const OaqImageLines* lines, size_t count, size_t* size) {
  return oaq_size_multiply(lines->pitch, seen_lines(&lines->height, count), size) &&
         *size < SIZE_MAX / 4;
}

bool oaq_image_lines_reshape(OaqImageLines* lines, size_t most, size_t columns, size_t* size,
                             OaqError* error) {
  lines->columns = columns;
  lines->max_lines = 1;
  if (columns == 0) return true;
  size_t pixels = 0;
  size_t copied = 0;
  bool fits =
      oaq_size_multiply(columns - 1, (size_t)lines->width.stride, &pixels) &&
      oaq_size_multiply(pixels + (size_t)lines->width.filter, lines->channels, &lines->pitch) &&
      copy_size(lines, 1, &copied);
  size_t more = 0;
  while (fits && lines->max_lines < most && copy_size(lines, lines->max_lines + 1, &more) &&
         more <= kCopyBytes) {
    ++lines->max_lines;
    copied = more;
  }
  const size_t codes = lines->narrow ? copied : lines->pitch;
  fits = fits && oaq_scratch_add(codes + OAQ_ROW_SLACK, 1, size, &lines->codes_offset) &&
         (!lines->wide || oaq_scratch_add(copied, sizeof(int16_t), size, &lines->wide_offset));
  if (!fits) return oaq_fail(error, "lines of %zu outputs are too long", columns);
  for (size_t i = 0; i < (size_t)lines->height.filter; ++i) {
    lines->offsets[i] = i * (size_t)lines->height.dilation * lines->pitch;
    lines->wide_offsets[i] = lines->offsets[i] * sizeof(int16_t);
  }
  return true;
}

static void copy_line(const OaqImageLines* lines, const OaqImage* image, int64_t y, int32_t shift,
                      uint8_t* out) {
  const uint8_t zero = (uint8_t)(image->zero_point - shift);
  const int64_t pixels = (int64_t)(lines->pitch / lines->channels);
  const int64_t skipped = image->pad_left < 0 ? -(int64_t)image->pad_left : 0;
  const int64_t wanted = image->pad_left > 0 ? image->pad_left : 0;
  const int64_t before = wanted < pixels ? wanted : pixels;
  const int64_t rest = pixels - before;
  const int64_t there = image->width > skipped ? image->width - skipped : 0;
  const int64_t inside = there < rest ? there : rest;
  const size_t from = (size_t)before * lines->channels;
  const size_t size = (size_t)inside * lines->channels;
  if (y < 0 || y >= image->height || size == 0) {
    memset(out, zero, lines->pitch);
    return;
  }
  const int8_t* line =
      image->codes + ((size_t)y * (size_t)image->width + (size_t)skipped) * image->channels;
  memset(out, zero, from);
  if (shift == 0) {
    memcpy(out + from, line, size);
  } else {
    oaq_shift_codes(line, size, shift, out + from);
  }
  memset(out + from + size, zero, lines->pitch - from - size);
}

static void widen_line(const uint8_t* line, size_t count, int16_t* out) {
  // Shifted codes are not negative.
  for (size_t i = 0; i < count; ++i) out[i] = line[i];
}

void oaq_image_lines_copy(const OaqImageLines* lines, const OaqLineCopy* copy,
                          const OaqImage* image, size_t first, size_t count, int32_t shift) {
  const size_t seen = seen_lines(&lines->height, count);
  const size_t stride = lines->narrow ? lines->pitch : 0;
  const int64_t top = (int64_t)first * lines->height.stride - image->pad_top;
  for (size_t i = 0; i < seen; ++i) {
    copy_line(lines, image, top + (int64_t)i, shift, copy->codes + i * stride);
    if (stride == 0) widen_line(copy->codes, lines->pitch, copy->wide + i * lines->pitch);
  }
  if (lines->wide && stride > 0) widen_line(copy->codes, seen * stride, copy->wide);
}

OaqInput oaq_image_lines_input(const OaqImageLines* lines, const OaqLineCopy* copy, size_t count) {
  const size_t stride = (size_t)lines->width.stride * lines->channels;
  const size_t line_stride = (size_t)lines->height.stride * lines->pitch;
  const size_t segments = (size_t)lines->height.filter;
  // A wide step is two products.
  const size_t wide_steps = (size_t)lines->width.filter * lines->channels / 2;
  return (OaqInput){
      .codes = {copy->codes, stride, lines->offsets, segments, lines->segment_steps},
      .wide = {copy->wide, stride * sizeof(int16_t), lines->wide_offsets, segments, wide_steps},
      .line_stride = line_stride,
      .wide_line_stride = line_stride * sizeof(int16_t),
      .lines = count,
      .columns = lines->columns};
}

void oaq_image_lines_gather(const OaqImageLines* lines, const OaqLineCopy* copy, size_t line,
                            size_t column, size_t count, uint8_t* out, size_t stride) {
  const size_t segment = (size_t)lines->width.filter * lines->channels;
  const size_t segments = (size_t)lines->height.filter;
  const size_t next = (size_t)lines->width.stride * lines->channels;
  const size_t* offsets = lines->offsets;
  const uint8_t* from =
      copy->codes + line * (size_t)lines->height.stride * lines->pitch + column * next;
  for (size_t m = 0; m < count; ++m, from += next, out += stride) {
    uint8_t* to = out;
    for (size_t i = 0; i < segments; ++i, to += segment) {
      if (segment <= OAQ_ROW_SLACK) {
        // What this writes too much, the next segment or row overwrites.
        memcpy(to, from + offsets[i], OAQ_ROW_SLACK);
      } else {
        memcpy(to, from + offsets[i], segment);
      }
    }
  }
}
