// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L

#include "core/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/reference.h"
#include "core/split.h"
#include "test.h"

// The pool by itself, then ops on several threads while other threads run ops of their own.

enum { kParts = 300, kWorkers = 4 };

typedef struct Job {
  atomic_int parts[kParts];
  atomic_int workers[kWorkers];  // how many threads go by that number right now
  int sums[kWorkers];            // scratch of a worker: no other thread may touch it
} Job;

static void count(void* data, size_t part, size_t worker) {
  Job* job = data;
  CHECK(worker < kWorkers);
  CHECK(atomic_fetch_add(&job->workers[worker], 1) == 0);
  atomic_fetch_add(&job->parts[part], 1);
  ++job->sums[worker];
  atomic_fetch_sub(&job->workers[worker], 1);
}

static void run_job(OaqThreads* threads, size_t workers, size_t parts) {
  Job job;
  memset(&job, 0, sizeof(job));
  oaq_threads_run(threads, workers, parts, count, &job);
  int sum = 0;
  for (size_t i = 0; i < kWorkers; ++i) sum += job.sums[i];
  CHECK((size_t)sum == parts);
  for (size_t i = 0; i < kParts; ++i) CHECK(atomic_load(&job.parts[i]) == (i < parts ? 1 : 0));
}

static void test_every_part_runs_once(void) {
  OaqThreads* threads = oaq_threads_create(kWorkers, 1);
  CHECK(threads != NULL && oaq_threads_count(threads) == kWorkers);
  for (size_t round = 0; round < 400; ++round) {
    run_job(threads, 1 + round % kWorkers, round % kParts);
  }
  run_job(threads, 100, kParts);
  oaq_threads_destroy(threads);
  run_job(NULL, kWorkers, kParts);
  CHECK(oaq_threads_count(NULL) == 1 && oaq_threads_part_macs(NULL) == OAQ_PART_MACS);
  oaq_threads_destroy(NULL);
  oaq_threads_destroy(oaq_threads_create(kWorkers, 1));
}

// Two parts that wait for each other: they end only where two threads take them.
typedef struct Meeting {
  pthread_barrier_t barrier;
} Meeting;

static void meet(void* data, size_t part, size_t worker) {
  (void)part;
  (void)worker;
  pthread_barrier_wait(&((Meeting*)data)->barrier);
}

static void test_threads_run_at_the_same_time(void) {
  Meeting meeting;
  CHECK(pthread_barrier_init(&meeting.barrier, NULL, kWorkers) == 0);
  OaqThreads* threads = oaq_threads_create(kWorkers, 1);
  for (int round = 0; round < 20; ++round) {
    oaq_threads_run(threads, kWorkers, kWorkers, meet, &meeting);
  }
  oaq_threads_destroy(threads);
  pthread_barrier_destroy(&meeting.barrier);
}

// What a forked child inherits is a pool without threads.
#ifndef __SANITIZE_THREAD__
static void test_fork(void) {
  OaqThreads* threads = oaq_threads_create(kWorkers, 1);
  run_job(threads, kWorkers, kParts);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    run_job(threads, kWorkers, kParts);
    oaq_threads_destroy(threads);
    _exit(0);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  run_job(threads, kWorkers, kParts);
  oaq_threads_destroy(threads);
}
#endif

static void test_split_covers_every_output_once(void) {
  OaqThreads* threads = oaq_threads_create(3, 1);
  Random random = {8};
  for (int round = 0; round < 3000; ++round) {
    const size_t rows = (size_t)random_int(&random, 0, 40);
    const size_t tiles = (size_t)random_int(&random, 1, 12);
    const size_t max_rows = 4 * (size_t)random_int(&random, 1, 6);
    const OaqSplit split = oaq_split(round % 2 ? threads : NULL, rows, max_rows, 4, tiles,
                                     random_int(&random, 0, 5) ? 1000 : 0);
    int seen[40][12] = {{0}};
    for (size_t part = 0; part < split.parts; ++part) {
      const OaqPart own = oaq_split_part(&split, part);
      CHECK(own.rows >= 1 && own.rows <= max_rows && own.first_row % 4 == 0);
      CHECK(own.first_tile < own.end_tile);
      for (size_t r = own.first_row; r < own.first_row + own.rows; ++r) {
        for (size_t t = own.first_tile; t < own.end_tile; ++t) ++seen[r][t];
      }
    }
    for (size_t r = 0; r < rows; ++r) {
      for (size_t t = 0; t < tiles; ++t) CHECK(seen[r][t] == 1);
    }
    CHECK(split.workers >= 1 && split.workers <= 3);
    if (round % 2 == 0) CHECK(split.workers == 1);
  }
  // Small work stays with the caller; one row is shared out by its channels.
  OaqThreads* real = oaq_threads_create(3, OAQ_PART_MACS);
  CHECK(oaq_split(real, 10, 100, 4, 8, OAQ_PART_MACS / 10.0).workers == 1);
  CHECK(oaq_split(real, 1, 100, 4, 8, 10.0 * OAQ_PART_MACS).workers == 3);
  oaq_threads_destroy(real);
  oaq_threads_destroy(threads);
}

enum { kSize = 12, kChannels = 24, kTaps = 9, kSpace = kSize * kSize * kChannels };

// What the threads of test_ops_at_the_same_time share: constants alone, but for `pool`.
typedef struct Shared {
  int8_t input[kSpace], weights[kChannels * kTaps * kChannels];
  int8_t conv[kSpace], depthwise[kSpace];
  OaqRequantize requantize;
  OaqThreads* pool;
} Shared;

static OaqConv2dParams conv_params(const Shared* shared) {
  const OaqWindow window = {3, 1, 1, OAQ_PADDING_SAME};
  return (OaqConv2dParams){.height = window,
                           .width = window,
                           .input_channels = kChannels,
                           .output_channels = kChannels,
                           .groups = 1,
                           .input_range = {-128, 127},
                           .requantize = shared->requantize};
}

static OaqDepthwiseConv2dParams depthwise_params(const Shared* shared) {
  const OaqWindow window = {3, 1, 1, OAQ_PADDING_SAME};
  return (OaqDepthwiseConv2dParams){.height = window,
                                    .width = window,
                                    .input_channels = kChannels,
                                    .depth_multiplier = 1,
                                    .input_range = {-128, 127},
                                    .requantize = shared->requantize};
}

static void* run_ops(void* data) {
  const Shared* shared = data;
  OaqThreads* own = oaq_threads_create(3, 1);
  OaqScratch scratch = {0};
  int8_t output[kSpace];
  const OaqConv2dParams conv = conv_params(shared);
  const OaqDepthwiseConv2dParams depthwise = depthwise_params(shared);
  for (int round = 0; round < 6; ++round) {
    const OaqPlanner planner = {.policy = OAQ_POLICY_INT16,
                                .kernels = oaq_kernels_find("auto"),
                                .threads = round % 3 == 0 ? shared->pool : own,
                                .scratch = &scratch};
    OaqConv2d first;
    OaqDepthwiseConv2d second;
    CHECK(oaq_conv_2d_create(&conv, shared->weights, NULL, &planner, &first, NULL));
    CHECK(oaq_depthwise_conv_2d_create(&depthwise, shared->weights, NULL, &planner, &second, NULL));
    CHECK(oaq_conv_2d_reshape(&first, 1, kSize, kSize, NULL));
    CHECK(oaq_depthwise_conv_2d_reshape(&second, 1, kSize, kSize, NULL));
    CHECK(first.split.workers == 3 && second.split.workers == 3);
    for (int repeat = 0; repeat < 4; ++repeat) {
      oaq_conv_2d_run(&first, shared->input, false, output);
      CHECK(memcmp(output, shared->conv, kSpace) == 0);
      oaq_depthwise_conv_2d_run(&second, shared->input, false, output);
      CHECK(memcmp(output, shared->depthwise, kSpace) == 0);
    }
    oaq_conv_2d_free(&first);
    oaq_depthwise_conv_2d_free(&second);
  }
  oaq_scratch_free(&scratch);
  oaq_threads_destroy(own);
  return NULL;
}

static void test_ops_at_the_same_time(void) {
  Shared* shared = test_alloc(1, sizeof(*shared));
  OaqMultiplier multipliers[kChannels];
  Random random = {5};
  random_codes(&random, -128, 127, shared->input, sizeof(shared->input));
  random_codes(&random, -128, 127, shared->weights, sizeof(shared->weights));
  for (size_t c = 0; c < kChannels; ++c) multipliers[c] = (OaqMultiplier){1 << 30, -10};
  shared->requantize = (OaqRequantize){.channels = multipliers, .lo = -128, .hi = 127};
  shared->pool = oaq_threads_create(3, 1);
  const OaqConv2dParams conv = conv_params(shared);
  const OaqDepthwiseConv2dParams depthwise = depthwise_params(shared);
  oaq_reference_conv_2d(&conv, 1, kSize, kSize, shared->input, shared->weights, NULL, shared->conv);
  oaq_reference_depthwise_conv_2d(&depthwise, 1, kSize, kSize, shared->input, shared->weights, NULL,
                                  shared->depthwise);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, run_ops, shared) == 0);
  for (int i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  oaq_threads_destroy(shared->pool);
  free(shared);
}

int main(void) {
  test_every_part_runs_once();
  test_threads_run_at_the_same_time();
#ifndef __SANITIZE_THREAD__  // gcc's ThreadSanitizer hangs in a child of a process with threads
  test_fork();
#endif
  test_split_covers_every_output_once();
  test_ops_at_the_same_time();
  return 0;
}
