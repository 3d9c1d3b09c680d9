// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_SCRATCH_H_
#define OAQ_CORE_SCRATCH_H_

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

// Memory that ops write while they run and forget afterwards, shared by those that never run at the
// same time: the ops of one graph. An op finds in it what the op before left there.

enum { OAQ_SCRATCH_ALIGNMENT = 64 };

typedef struct OaqScratchBlock {
  void* memory;
  void* start;  // in `memory`, aligned
  size_t size;
} OaqScratchBlock;

// A block for each worker, as large as the largest that any op has asked for; zeros are no state.
typedef struct OaqScratch {
  OaqScratchBlock* blocks;
  size_t count;
} OaqScratch;

// What one op asks of it, and has to do with while it runs. Set when the op is given its shape.
typedef struct OaqScratchUse {
  OaqScratch* scratch;  // outlives the op
  size_t size;          // of a worker's block; 0: none
  size_t workers;
} OaqScratchUse;

// Makes `use->workers` blocks at least `use->size` bytes large. Blocks may move, so ops ask for
// their addresses anew each time they run. On failure all blocks stay as they are.
bool oaq_scratch_reserve(const OaqScratchUse* use, OaqError* error);
void oaq_scratch_free(OaqScratch* scratch);

// The block of a worker, NULL where nobody has asked for any.
static inline char* oaq_scratch_worker(const OaqScratchUse* use, size_t worker) {
  return use->size > 0 ? use->scratch->blocks[worker].start : NULL;
}

// Room for `count` elements of `element` bytes behind the first *size bytes of a block, aligned:
// *offset is where they begin, *size grows. False where that does not fit a size_t.
bool oaq_scratch_add(size_t count, size_t element, size_t* size, size_t* offset);

// What the allocator is asked for, for a block of `size` bytes.
size_t oaq_scratch_block_bytes(size_t size);

#endif  // OAQ_CORE_SCRATCH_H_
