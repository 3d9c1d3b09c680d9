// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_THREADS_H_
#define OAQ_CORE_THREADS_H_

#include <stddef.h>

// A pool of threads that sleep when there has been nothing to do for some hundred microseconds. One
// belongs to each delegate; a NULL pool, like a build without threads, does everything on the
// caller's thread.
typedef struct OaqThreads OaqThreads;

// What a part of less is not worth waking a thread for: about as long as waking it takes.
enum { OAQ_PART_MACS = 1 << 16 };

// `count` with the caller's thread among them; they start when first needed. `part_macs`: see
// OAQ_PART_MACS. NULL where memory is out.
OaqThreads* oaq_threads_create(size_t count, size_t part_macs);

// Waits for the threads to end; not while one runs. NULL does nothing.
void oaq_threads_destroy(OaqThreads* threads);

// At least 1; NULL may be given to all of these.
size_t oaq_threads_count(const OaqThreads* threads);
size_t oaq_threads_part_macs(const OaqThreads* threads);

// `worker` tells apart the threads that run at the same time.
typedef void (*OaqTask)(void* data, size_t part, size_t worker);

// Calls task(data, part, worker) once for each part < parts, in any order, with worker < workers,
// and returns when all have returned. Fewer threads take part where the system gives no more; only
// the caller's where `workers` is at most 1 or another call has the pool.
void oaq_threads_run(OaqThreads* threads, size_t workers, size_t parts, OaqTask task, void* data);

#endif  // OAQ_CORE_THREADS_H_
