// SPDX-License-Identifier: Apache-2.0
// pthreads and getpid, where the compiler is asked for C and nothing else.
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/threads.h"

// How often a thread looks for what it waits for before it sleeps: some hundred microseconds, a few
// times what waking costs. The ops of a network follow each other faster than that.
enum { kLooks = 4000 };

struct OaqThreads {
  size_t count, part_macs;
  pthread_mutex_t running;  // held by the call of oaq_threads_run that has the pool
  pthread_mutex_t mutex;    // of everything below
  pthread_cond_t wake, finished;
  pthread_t* started;  // [count - 1]
  size_t num_started;
  pid_t owner;  // the process that started them: a forked child has none of them
  bool stop;
  // The present job. A thread joins it by taking a worker's number while there are any.
  OaqTask task;
  void* data;
  size_t parts, next_part;
  size_t workers, next_worker;
  // Written under the mutex, looked at without it.
  atomic_size_t jobs;        // so far; stopping is one too
  atomic_size_t done_parts;  // of the present job
};

// Eases off the core, for the other thread on it.
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

OaqThreads* oaq_threads_create(size_t count, size_t part_macs) {
  OaqThreads* threads = calloc(1, sizeof(*threads));
  if (threads == NULL) return NULL;
  threads->count = count > 0 ? count : 1;
  threads->part_macs = part_macs > 0 ? part_macs : 1;
  threads->started = calloc(threads->count, sizeof(*threads->started));
  const bool made = threads->started != NULL && pthread_mutex_init(&threads->running, NULL) == 0 &&
                    pthread_mutex_init(&threads->mutex, NULL) == 0 &&
                    pthread_cond_init(&threads->wake, NULL) == 0 &&
                    pthread_cond_init(&threads->finished, NULL) == 0;
  if (made) return threads;
  free(threads->started);
  free(threads);
  return NULL;
}

void oaq_threads_destroy(OaqThreads* threads) {
  if (threads == NULL) return;
  // Nobody would ever answer in a forked child.
  if (threads->num_started == 0 || threads->owner == getpid()) {
    pthread_mutex_lock(&threads->mutex);
    threads->stop = true;
    atomic_fetch_add(&threads->jobs, 1);
    pthread_cond_broadcast(&threads->wake);
    pthread_mutex_unlock(&threads->mutex);
    for (size_t i = 0; i < threads->num_started; ++i) pthread_join(threads->started[i], NULL);
    pthread_cond_destroy(&threads->wake);
    pthread_cond_destroy(&threads->finished);
    pthread_mutex_destroy(&threads->mutex);
    pthread_mutex_destroy(&threads->running);
  }
  free(threads->started);
  free(threads);
}

size_t oaq_threads_count(const OaqThreads* threads) { return threads != NULL ? threads->count : 1; }

size_t oaq_threads_part_macs(const OaqThreads* threads) {
  return threads != NULL ? threads->part_macs : OAQ_PART_MACS;
}

// Takes parts of the job until none is left. The mutex is held on entry and on return.
static void work(OaqThreads* threads, size_t worker) {
  while (threads->next_part < threads->parts) {
    const size_t part = threads->next_part++;
    pthread_mutex_unlock(&threads->mutex);
    threads->task(threads->data, part, worker);
    pthread_mutex_lock(&threads->mutex);
    // The job can't change before its last part is counted here.
    const size_t done = atomic_fetch_add(&threads->done_parts, 1) + 1;
    if (done == threads->parts) pthread_cond_signal(&threads->finished);
  }
}

// Until there may be another job than number `seen`. The mutex is held on entry and on return.
static void await_job(OaqThreads* threads, size_t seen) {
  pthread_mutex_unlock(&threads->mutex);
  for (int i = 0; i < kLooks && atomic_load(&threads->jobs) == seen; ++i) relax();
  pthread_mutex_lock(&threads->mutex);
  if (atomic_load(&threads->jobs) == seen) pthread_cond_wait(&threads->wake, &threads->mutex);
}

// The same until all parts of the present job are done.
static void await_parts(OaqThreads* threads) {
  const size_t parts = threads->parts;
  pthread_mutex_unlock(&threads->mutex);
  for (int i = 0; i < kLooks && atomic_load(&threads->done_parts) < parts; ++i) relax();
  pthread_mutex_lock(&threads->mutex);
  while (atomic_load(&threads->done_parts) < parts) {
    pthread_cond_wait(&threads->finished, &threads->mutex);
  }
}

static void* thread_main(void* data) {
  OaqThreads* threads = data;
  pthread_mutex_lock(&threads->mutex);
  while (!threads->stop) {
    if (threads->next_worker < threads->workers) {
      work(threads, threads->next_worker++);
    } else {
      await_job(threads, atomic_load(&threads->jobs));
    }
  }
  pthread_mutex_unlock(&threads->mutex);
  return NULL;
}

// Starts what is missing; fewer threads do the same work.
static void start(OaqThreads* threads, size_t wanted) {
  while (threads->num_started < wanted) {
    pthread_t* thread = &threads->started[threads->num_started];
    if (pthread_create(thread, NULL, thread_main, threads) != 0) return;
    if (threads->num_started++ == 0) threads->owner = getpid();
  }
}

static void run_alone(size_t parts, OaqTask task, void* data) {
  for (size_t part = 0; part < parts; ++part) task(data, part, 0);
}

void oaq_threads_run(OaqThreads* threads, size_t workers, size_t parts, OaqTask task, void* data) {
  if (threads != NULL && workers > threads->count) workers = threads->count;
  if (workers > parts) workers = parts;
  if (threads == NULL || workers <= 1 || pthread_mutex_trylock(&threads->running) != 0) {
    run_alone(parts, task, data);
    return;
  }
  pthread_mutex_lock(&threads->mutex);
  threads->task = task;
  threads->data = data;
  threads->parts = parts;
  threads->next_part = 0;
  atomic_store(&threads->done_parts, 0);
  threads->workers = workers;
  threads->next_worker = 1;
  atomic_fetch_add(&threads->jobs, 1);
  start(threads, workers - 1);
  for (size_t i = 1; i < workers; ++i) pthread_cond_signal(&threads->wake);
  work(threads, 0);
  await_parts(threads);
  threads->workers = 0;
  pthread_mutex_unlock(&threads->mutex);
  pthread_mutex_unlock(&threads->running);
}
