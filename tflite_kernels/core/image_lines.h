// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_IMAGE_LINES_H_
#define OAQ_CORE_IMAGE_LINES_H_

#include "core/gemm.h"
#include "core/window.h"

// Lines of an image, copied as kernels want them: padded, shifted, and widened where some tile is
// wide. A row of the product, what one output sees, is then one piece of memory for each line of
// the filter, and rows of neighbouring outputs overlap: nothing is gathered.

// Where an image and a filter on it are, in pixels.
typedef struct OaqImage {
  const int8_t* codes;                       // [height][width][channels]
  int32_t height, width, pad_top, pad_left;  // pads may be negative
  size_t channels;
  int32_t zero_point;
} OaqImage;

// A worker's copy.
typedef struct OaqLineCopy {
  uint8_t* codes;  // the last line alone where all tiles are wide
  int16_t* wide;   // NULL where no tile wants it
} OaqLineCopy;

typedef struct OaqImageLines {
  OaqWindow height, width;
  size_t channels;
  size_t* offsets;       // [height.filter]: of a row's segments, in codes
  size_t* wide_offsets;  // the same in bytes of the wide copy
  size_t segment_steps;  // 0: segments are no whole steps, rows have to be gathered from the copy
  bool narrow, wide;     // what tiles read
  // For the shape.
  size_t pitch;                      // codes in a copied line
  size_t max_lines;                  // of outputs, that one copy is for
  size_t columns;                    // outputs in a line
  size_t codes_offset, wide_offset;  // of a copy in a worker's block
} OaqImageLines;

// Whether a filter's taps lie side by side in a line, and its lines so close to each other that
// those between them, which are copied too, are few.
static inline bool oaq_image_lines_fit(const OaqWindow* height, const OaqWindow* width) {
  return width->dilation == 1 && height->dilation <= 4;
}

// `narrow` and `wide`: some tile is so.
bool oaq_image_lines_init(const OaqWindow* height, const OaqWindow* width, size_t channels,
                          const OaqGemm* gemm, bool narrow, bool wide, OaqImageLines* lines,
                          OaqError* error);

void oaq_image_lines_free(OaqImageLines* lines);

// What it has allocated.
static inline size_t oaq_image_lines_bytes(const OaqImageLines* lines) {
  return (size_t)lines->height.filter * (sizeof(*lines->offsets) + sizeof(*lines->wide_offsets));
}

// For lines of `columns` outputs, of which a worker takes up to `most`; adds a copy to what a
// worker's block holds. Copies stay in a second-level cache, one line of outputs at least.
bool oaq_image_lines_reshape(OaqImageLines* lines, size_t most, size_t columns, size_t* size,
                             OaqError* error);

// The copy in a worker's block.
static inline OaqLineCopy oaq_image_lines_at(const OaqImageLines* lines, char* block) {
  void* wide = lines->wide ? block + lines->wide_offset : NULL;
  return (OaqLineCopy){(uint8_t*)block + lines->codes_offset, wide};
}

// Copies what `count` <= max_lines lines of outputs from `first` on see, less `shift`.
void oaq_image_lines_copy(const OaqImageLines* lines, const OaqLineCopy* copy,
                          const OaqImage* image, size_t first, size_t count, int32_t shift);

// The copy as rows of the product, where segments are whole steps.
OaqInput oaq_image_lines_input(const OaqImageLines* lines, const OaqLineCopy* copy, size_t count);

// `count` rows of line `line` of the copy from row `column` on, gathered into `out`, `stride`
// apart; OAQ_ROW_SLACK behind the last may be written as well.
void oaq_image_lines_gather(const OaqImageLines* lines, const OaqLineCopy* copy, size_t line,
                            size_t column, size_t count, uint8_t* out, size_t stride);

#endif  // OAQ_CORE_IMAGE_LINES_H_
