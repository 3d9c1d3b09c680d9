// SPDX-License-Identifier: Apache-2.0
// pthreads and getpid, where the compiler is asked for C and nothing else.
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/threads.h"

// How often a thread looks for what it waits for before it sleeps: for 20 to 200 microseconds, as
// long as the CPU's pause between two looks is, which is what waking costs or more. The ops of a
// network follow each other faster than that.
enum { kLooks = 4000 };

// What is to be done, in one word, so that a thread takes a part without a lock, which others would
// have to wait for: how many threads may take part, and which parts are left. Whoever takes one
// reads what else there is to know of the job, which stays until the part is done; so it does no
// harm if it took its last look at the word in an earlier job.
typedef uint64_t Ticket;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(Ticket) <= sizeof(long long),
               "build threads_none.c in place of this");

enum { kPartBits = 24, kMostParts = (1 << kPartBits) - 1, kMostThreads = UINT16_MAX };

static Ticket make_ticket(size_t workers, size_t first, size_t left) {
  return (Ticket)workers << 2 * kPartBits | (Ticket)first << kPartBits | left;
}

static size_t parts_left(Ticket ticket) { return (size_t)(ticket & kMostParts); }

static size_t first_part(Ticket ticket) { return (size_t)(ticket >> kPartBits & kMostParts); }

static size_t workers_of(Ticket ticket) { return (size_t)(ticket >> 2 * kPartBits); }

static bool is_for(Ticket ticket, size_t worker) {
  return parts_left(ticket) > 0 && worker < workers_of(ticket);
}

// Every other worker takes the last part instead of the first: what it writes, it most likely reads
// in the next op, and finds in its own cache.
static Ticket take_part(Ticket ticket, size_t worker, size_t* part) {
  const size_t first = first_part(ticket);
  const size_t left = parts_left(ticket) - 1;
  const bool from_end = worker % 2 != 0;
  *part = from_end ? first + left : first;
  return make_ticket(workers_of(ticket), from_end ? first : first + 1, left);
}

// A started thread: its number among the workers, the caller's being 0.
typedef struct Worker {
  struct OaqThreads* threads;
  size_t index;
  pthread_t thread;
  pthread_cond_t wake;
  atomic_bool sleeping;
} Worker;

struct OaqThreads {
  size_t count, part_macs;
  pthread_mutex_t running;  // held by the call of oaq_threads_run that has the pool
  Worker* started;          // [count - 1]
  size_t num_started;
  pid_t owner;  // the process that starts them: a forked child has none of them
  // The present job, which only the call that has the pool writes.
  OaqTask task;
  void* data;
  _Atomic(Ticket) ticket;
  atomic_size_t pending;  // parts that are not done
  // For threads that sleep: each says so, then looks once more at what it waits for.
  pthread_mutex_t mutex;
  pthread_cond_t finished;
  atomic_bool waiting;  // for the last part
  atomic_bool stop;
};

// Eases off the core, for the other thread on it.
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

// Says something that others look for, before a look at what they say. An exchange, since qemu lets
// a load go before the sequentially consistent store in front of it, which CPUs do not.
static void say(atomic_bool* what) { atomic_exchange(what, true); }

OaqThreads* oaq_threads_create(size_t count, size_t part_macs) {
  OaqThreads* threads = calloc(1, sizeof(*threads));
  if (threads == NULL) return NULL;
  threads->count = count < 1 ? 1 : count < kMostThreads ? count : kMostThreads;
  threads->part_macs = part_macs > 0 ? part_macs : 1;
  threads->started = calloc(threads->count, sizeof(*threads->started));
  const bool made = threads->started != NULL && pthread_mutex_init(&threads->running, NULL) == 0 &&
                    pthread_mutex_init(&threads->mutex, NULL) == 0 &&
                    pthread_cond_init(&threads->finished, NULL) == 0;
  if (made) return threads;
  free(threads->started);
  free(threads);
  return NULL;
}

void oaq_threads_destroy(OaqThreads* threads) {
  if (threads == NULL) return;
  // Nobody would ever answer in a forked child.
  if (threads->owner == 0 || threads->owner == getpid()) {
    pthread_mutex_lock(&threads->mutex);
    atomic_store(&threads->stop, true);
    for (size_t i = 0; i < threads->num_started; ++i) {
      pthread_cond_signal(&threads->started[i].wake);
    }
    pthread_mutex_unlock(&threads->mutex);
    for (size_t i = 0; i < threads->num_started; ++i) {
      pthread_join(threads->started[i].thread, NULL);
      pthread_cond_destroy(&threads->started[i].wake);
    }
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

// Takes parts until none is left for this worker.
static void work(OaqThreads* threads, size_t worker) {
  Ticket ticket = atomic_load(&threads->ticket);
  while (is_for(ticket, worker)) {
    size_t part = 0;
    const Ticket rest = take_part(ticket, worker, &part);
    if (!atomic_compare_exchange_weak(&threads->ticket, &ticket, rest)) continue;
    threads->task(threads->data, part, worker);
    if (atomic_fetch_sub(&threads->pending, 1) == 1 && atomic_load(&threads->waiting)) {
      pthread_mutex_lock(&threads->mutex);
      pthread_cond_signal(&threads->finished);
      pthread_mutex_unlock(&threads->mutex);
    }
    ticket = atomic_load(&threads->ticket);
  }
}

static bool has_something_to_do(const Worker* worker) {
  return is_for(atomic_load(&worker->threads->ticket), worker->index) ||
         atomic_load(&worker->threads->stop);
}

static void await_job(Worker* worker) {
  for (int i = 0; i < kLooks; ++i) {
    if (has_something_to_do(worker)) return;
    relax();
  }
  pthread_mutex_lock(&worker->threads->mutex);
  say(&worker->sleeping);
  while (!has_something_to_do(worker)) {
    pthread_cond_wait(&worker->wake, &worker->threads->mutex);
  }
  atomic_store(&worker->sleeping, false);
  pthread_mutex_unlock(&worker->threads->mutex);
}

static void await_parts(OaqThreads* threads) {
  for (int i = 0; i < kLooks; ++i) {
    if (atomic_load(&threads->pending) == 0) return;
    relax();
  }
  pthread_mutex_lock(&threads->mutex);
  say(&threads->waiting);
  while (atomic_load(&threads->pending) > 0) {
    pthread_cond_wait(&threads->finished, &threads->mutex);
  }
  atomic_store(&threads->waiting, false);
  pthread_mutex_unlock(&threads->mutex);
}

static void* thread_main(void* data) {
  Worker* self = data;
  while (!atomic_load(&self->threads->stop)) {
    work(self->threads, self->index);
    await_job(self);
  }
  return NULL;
}

// Starts what is missing; fewer threads do the same work.
static void start(OaqThreads* threads, size_t wanted) {
  while (threads->num_started < wanted) {
    Worker* worker = &threads->started[threads->num_started];
    worker->threads = threads;
    worker->index = threads->num_started + 1;
    threads->owner = getpid();
    if (pthread_cond_init(&worker->wake, NULL) != 0) return;
    if (pthread_create(&worker->thread, NULL, thread_main, worker) != 0) {
      pthread_cond_destroy(&worker->wake);
      return;
    }
    ++threads->num_started;
  }
}

static void run_alone(size_t parts, OaqTask task, void* data) {
  for (size_t part = 0; part < parts; ++part) task(data, part, 0);
}

// The call has the pool.
static void run_job(OaqThreads* threads, size_t workers, size_t parts, OaqTask task, void* data) {
  if (threads->owner != 0 && threads->owner != getpid()) {
    run_alone(parts, task, data);
    return;
  }
  start(threads, workers - 1);
  threads->task = task;
  threads->data = data;
  atomic_store(&threads->pending, parts);
  atomic_exchange(&threads->ticket, make_ticket(workers, 0, parts));
  for (size_t i = 0; i < workers - 1 && i < threads->num_started; ++i) {
    Worker* worker = &threads->started[i];
    if (!atomic_load(&worker->sleeping)) continue;
    pthread_mutex_lock(&threads->mutex);
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&threads->mutex);
  }
  work(threads, 0);
  await_parts(threads);
}

void oaq_threads_run(OaqThreads* threads, size_t workers, size_t parts, OaqTask task, void* data) {
  if (threads != NULL && workers > threads->count) workers = threads->count;
  if (workers > parts) workers = parts;
  if (threads == NULL || workers <= 1 || parts > kMostParts ||
      pthread_mutex_trylock(&threads->running) != 0) {
    run_alone(parts, task, data);
    return;
  }
  run_job(threads, workers, parts, task, data);
  pthread_mutex_unlock(&threads->running);
}
