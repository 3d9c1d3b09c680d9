// SPDX-License-Identifier: Apache-2.0
#include "core/scratch.h"

#include <stdint.h>
#include <stdlib.h>

#include "core/size.h"

size_t oaq_scratch_block_bytes(size_t size) {
  return size > 0 ? size + OAQ_SCRATCH_ALIGNMENT - 1 : 0;
}

bool oaq_scratch_add(size_t count, size_t element, size_t* size, size_t* offset) {
  // A sum of two of at most half of what there is does not wrap, nor does the alignment.
  const size_t most = SIZE_MAX / 2 - OAQ_SCRATCH_ALIGNMENT;
  size_t added = 0;
  if (!oaq_size_multiply(count, element, &added) || added > most || *size > most) return false;
  *offset = oaq_ceil_div(*size, OAQ_SCRATCH_ALIGNMENT) * OAQ_SCRATCH_ALIGNMENT;
  *size = *offset + added;
  return true;
}

static bool grow(OaqScratchBlock* block, size_t size) {
  if (size > SIZE_MAX - OAQ_SCRATCH_ALIGNMENT) return false;
  // Zeros, so that what pads rows is never undefined; kernels multiply it by zero weights.
  char* memory = calloc(1, oaq_scratch_block_bytes(size));
  if (memory == NULL) return false;
  const size_t over = (uintptr_t)memory % OAQ_SCRATCH_ALIGNMENT;
  free(block->memory);
  *block =
      (OaqScratchBlock){memory, over > 0 ? memory + OAQ_SCRATCH_ALIGNMENT - over : memory, size};
  return true;
}

bool oaq_scratch_reserve(const OaqScratchUse* use, OaqError* error) {
  OaqScratch* scratch = use->scratch;
  if (use->size == 0) return true;
  size_t bytes = 0;
  OaqScratchBlock* blocks = scratch->blocks;
  if (use->workers > scratch->count) {
    blocks = oaq_size_multiply(use->workers, sizeof(*blocks), &bytes)
                 ? realloc(scratch->blocks, bytes)
                 : NULL;
    if (blocks == NULL) return oaq_fail(error, "out of memory for %zu threads", use->workers);
    scratch->blocks = blocks;
  }
  for (; scratch->count < use->workers; ++scratch->count) {
    blocks[scratch->count] = (OaqScratchBlock){NULL, NULL, 0};
  }
  for (size_t i = 0; i < use->workers; ++i) {
    if (blocks[i].size >= use->size || grow(&blocks[i], use->size)) continue;
    return oaq_fail(error, "out of memory for scratch of %zu bytes a thread", use->size);
  }
  return true;
}

void oaq_scratch_free(OaqScratch* scratch) {
  for (size_t i = 0; i < scratch->count; ++i) free(scratch->blocks[i].memory);
  free(scratch->blocks);
  *scratch = (OaqScratch){0};
}
