// SPDX-License-Identifier: Apache-2.0
#include "core/split.h"

#include "core/size.h"

// Parts a thread, so that a slow core holds nobody up for long.
enum { kPartsPerThread = 4 };

// As many for each thread, where all threads have some: three parts take two threads as long as
// four.
static size_t wanted_parts(const OaqThreads* threads, double macs) {
  const size_t count = oaq_threads_count(threads);
  const double worth = macs / (double)oaq_threads_part_macs(threads);
  if (count == 1 || worth < 2) return 1;
  const double most = (double)count * kPartsPerThread;
  const size_t parts = (size_t)(worth < most ? worth : most);
  return parts < count ? parts : parts / count * count;
}

OaqSplit oaq_split(const OaqThreads* threads, size_t rows, size_t max_rows, size_t row_step,
                   size_t tiles, double row_macs) {
  if (rows == 0) return (OaqSplit){.workers = 1};
  const size_t wanted = wanted_parts(threads, row_macs * (double)rows);
  const size_t part_rows = oaq_ceil_div(oaq_ceil_div(rows, wanted), row_step) * row_step;
  OaqSplit split = {.rows = rows, .tiles = tiles, .part_rows = oaq_min_size(part_rows, max_rows)};
  const size_t row_parts = oaq_ceil_div(rows, split.part_rows);
  // Too few rows for all threads: they share a row's channels.
  const size_t tile_parts = oaq_min_size(oaq_ceil_div(wanted, row_parts), tiles);
  split.part_tiles = oaq_ceil_div(tiles, tile_parts);
  split.parts = row_parts * oaq_ceil_div(tiles, split.part_tiles);
  split.workers = wanted == 1 ? 1 : oaq_min_size(oaq_threads_count(threads), split.parts);
  return split;
}

OaqPart oaq_split_part(const OaqSplit* split, size_t part) {
  const size_t tile_parts = oaq_ceil_div(split->tiles, split->part_tiles);
  const size_t first_row = part / tile_parts * split->part_rows;
  const size_t first_tile = part % tile_parts * split->part_tiles;
  return (OaqPart){.first_row = first_row,
                   .rows = oaq_min_size(split->part_rows, split->rows - first_row),
                   .first_tile = first_tile,
                   .end_tile = oaq_min_size(first_tile + split->part_tiles, split->tiles)};
}
