// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_KERNELS_BENCH_CASE_H_
#define OAQ_BENCH_KERNELS_BENCH_CASE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernels.h"

// A kernel on data of its own, which fit the first-level cache.
typedef struct BenchCase {
  char name[64];      // "avx2 gemm_i16 6x16 T=16"
  const char* unit;   // what `work` counts: "MAC" or "code"
  double work;        // of one run
  double limit;       // work a cycle, at most; limit.h
  char baseline[64];  // the name of the case to compare with, or empty
  void (*run)(const void* data);
  bool (*is_right)(const void* data);  // after a run
  const void* data;
  // What the cost tables are made of (core/kernels.h); `table` is empty where this is in none.
  char table[64];
  bool exact;
  double steps, drains;  // of one run
} BenchCase;

typedef struct BenchCases {
  BenchCase* items;
  size_t count, capacity;
} BenchCases;

// A case to fill in; memory is checked, and never freed.
BenchCase* bench_cases_add(BenchCases* cases);

// Zeros, aligned as vectors want them; never freed.
void* bench_alloc(size_t size);

// Codes in [lo, hi], the same in each run of the program.
void bench_random_codes(int lo, int hi, int8_t* codes, size_t count);

// The kernels of one ISA, but those that an ISA before it has too.
void bench_add_gemm(BenchCases* cases, const OaqKernels* kernels);
void bench_add_depthwise(BenchCases* cases, const OaqKernels* kernels);
void bench_add_output(BenchCases* cases, const OaqKernels* kernels);

// What they are compared with, for the ISAs that have one.
void bench_add_gemm_baseline(BenchCases* cases, const char* isa);
void bench_add_depthwise_baseline(BenchCases* cases, const char* isa);

#endif  // OAQ_BENCH_KERNELS_BENCH_CASE_H_
