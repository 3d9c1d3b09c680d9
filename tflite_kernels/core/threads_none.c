// SPDX-License-Identifier: Apache-2.0
#include "core/threads.h"

// For systems without pthreads: one thread, the caller's.

OaqThreads* oaq_threads_create(size_t count, size_t part_macs) {
  // What NULL means elsewhere is out of memory; nobody looks inside.
  static const char none = 0;
  (void)count;
  (void)part_macs;
  return (OaqThreads*)(void*)&none;
}

void oaq_threads_destroy(OaqThreads* threads) { (void)threads; }

size_t oaq_threads_count(const OaqThreads* threads) {
  (void)threads;
  return 1;
}

size_t oaq_threads_part_macs(const OaqThreads* threads) {
  (void)threads;
  return OAQ_PART_MACS;
}

void oaq_threads_run(OaqThreads* threads, size_t workers, size_t parts, OaqTask task, void* data) {
  (void)threads;
  (void)workers;
  for (size_t part = 0; part < parts; ++part) task(data, part, 0);
}
