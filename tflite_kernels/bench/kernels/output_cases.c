// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "bench/kernels/bench_case.h"
#include "bench/kernels/limit.h"

// Output stages on the sums of one call of a GEMM kernel.

enum { kRows = 24, kChannels = 32, kSums = kRows * kChannels };

typedef struct Output {
  OaqOutput output;
  OaqOutputStage stage;
  int32_t* acc;
  int8_t* out;
} Output;

static void run_output(const void* data) {
  const Output* output = data;
  output->output(&output->stage, 0, kChannels, kRows, output->acc, kChannels, output->out,
                 kChannels);
}

static bool is_right(const void* data) {
  const Output* output = data;
  for (size_t i = 0; i < kSums; ++i) {
    if (output->out[i] != oaq_output_code(&output->stage, i % kChannels, output->acc[i])) {
      return false;
    }
  }
  return true;
}

static void add(BenchCases* cases, const char* isa, OaqOutput function, double limit) {
  Output* made = bench_alloc(sizeof(*made));
  made->output = function;
  OaqMultiplier* multipliers = bench_alloc(kChannels * sizeof(*multipliers));
  for (int c = 0; c < kChannels; ++c) {
    multipliers[c] = (OaqMultiplier){(1 << 30) + c * 12345677, -6 - c % 3};
  }
  const OaqRequantize requantize = {
      .channels = multipliers, .zero_point = -3, .lo = -128, .hi = 127};
  if (!oaq_output_stage_init(&requantize, kChannels, &made->stage, NULL)) return;
  made->acc = bench_alloc(kSums * sizeof(*made->acc));
  made->out = bench_alloc(kSums);
  int8_t codes[kSums];
  bench_random_codes(-128, 127, codes, kSums);
  for (int i = 0; i < kSums; ++i) made->acc[i] = codes[i] * 90 + i;
  BenchCase* item = bench_cases_add(cases);
  snprintf(item->name, sizeof(item->name), "%s output", isa);
  item->unit = "code";
  item->work = kSums;
  item->limit = limit;
  item->run = run_output;
  item->is_right = is_right;
  item->data = made;
  if (strcmp(isa, "scalar") != 0) {
    snprintf(item->baseline, sizeof(item->baseline), "scalar output");
  }
}

void bench_add_output(BenchCases* cases, const OaqKernels* kernels) {
  // By instructions a vector of sums: products, then shifts, roundings and signs.
  static const VectorWork kSse41 = {.multiplies = 8, .shuffles = 2, .others = 27};  // 8 codes
  static const VectorWork kAvx2 = {.multiplies = 8, .shuffles = 3, .crossing = 2, .others = 44};
  static const VectorWork kAvx512 = {.multiplies = 2, .crossing = 2, .others = 13};  // 16 codes
  const struct {
    const char* isa;
    int bits;
    const VectorWork* work;
    double codes;
  } kIsas[] = {
      {"sse41", 128, &kSse41, 8}, {"avx2", 256, &kAvx2, 32}, {"avx512bw", 512, &kAvx512, 16}};
  if (strcmp(kernels->isa, "scalar") == 0) add(cases, kernels->isa, kernels->output, 0);
  for (size_t i = 0; i < sizeof(kIsas) / sizeof(kIsas[0]); ++i) {
    if (strcmp(kernels->isa, kIsas[i].isa) != 0) continue;
    add(cases, kernels->isa, kernels->output,
        kIsas[i].codes / limit_cycles(kIsas[i].bits, kIsas[i].work));
  }
}
