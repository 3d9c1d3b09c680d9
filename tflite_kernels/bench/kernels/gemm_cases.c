// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "bench/baseline/baseline.h"
#include "bench/kernels/bench_case.h"
#include "bench/kernels/limit.h"
#include "core/pack.h"

// GEMM kernels on rows of 256 products and one tile of weights, called as core/gemm.c does.

// Rows: a multiple of what any kernel takes at once.
enum { kProducts = 256, kRows = 24, kChannels = OAQ_MAX_TILE_CHANNELS };

// One problem for all, with activations in [0, 127] and weights so small that no lane overflows
// and no pair saturates: times do not depend on values.
typedef struct Problem {
  int8_t *codes, *weights;  // [kRows][kProducts], [kChannels][kProducts]
  int16_t* wide_codes;
  int32_t bias[kChannels];
} Problem;

typedef struct Gemm {
  const Problem* problem;
  const OaqGemm* gemm;
  bool int16;
  OaqDrains drains;
  OaqRows rows;
  const void* b;
  BaselineGemm baseline;  // instead of `gemm`
  size_t channels;
  int32_t* acc;  // [kRows][channels]
} Gemm;

static const Problem* problem(void) {
  static Problem made;
  if (made.codes != NULL) return &made;
  made.codes = bench_alloc(kRows * kProducts);
  made.weights = bench_alloc(kChannels * kProducts);
  made.wide_codes = bench_alloc(kRows * kProducts * sizeof(int16_t));
  bench_random_codes(0, 127, made.codes, kRows * kProducts);
  bench_random_codes(-2, 2, made.weights, kChannels * kProducts);
  for (size_t i = 0; i < kRows * kProducts; ++i) made.wide_codes[i] = made.codes[i];
  for (int n = 0; n < kChannels; ++n) made.bias[n] = 1000 * n - 7;
  return &made;
}

// All rows in one call, as an op makes it.
static void run_gemm(const void* data) {
  const Gemm* gemm = data;
  if (gemm->int16) {
    gemm->gemm->i16(kRows, &gemm->drains, &gemm->rows, gemm->b, gemm->problem->bias, gemm->acc);
  } else {
    gemm->gemm->i32(kRows, &gemm->rows, gemm->b, gemm->problem->bias, gemm->acc);
  }
}

static void run_baseline(const void* data) {
  const Gemm* gemm = data;
  for (size_t m = 0; m < kRows; m += kBaselineRows) {
    gemm->baseline(kProducts / kBaselineStep, gemm->problem->codes + m * kProducts, kProducts,
                   gemm->b, gemm->problem->bias, gemm->acc + m * gemm->channels);
  }
}

static bool is_right(const void* data) {
  const Gemm* gemm = data;
  for (size_t m = 0; m < kRows; ++m) {
    for (size_t n = 0; n < gemm->channels; ++n) {
      int32_t sum = gemm->problem->bias[n];
      for (size_t k = 0; k < kProducts; ++k) {
        sum += gemm->problem->codes[m * kProducts + k] * gemm->problem->weights[n * kProducts + k];
      }
      if (gemm->acc[m * gemm->channels + n] != sum) return false;
    }
  }
  return true;
}

static Gemm* make(size_t channels) {
  Gemm* made = bench_alloc(sizeof(*made));
  made->problem = problem();
  made->channels = channels;
  made->acc = bench_alloc(kRows * channels * sizeof(*made->acc));
  return made;
}

static OaqRows one_segment(const void* codes, size_t stride, size_t steps) {
  static const size_t kNoOffset[] = {0};
  return (OaqRows){codes, stride, kNoOffset, 1, steps};
}

static const void* pack(const OaqLayout* layout) {
  const Problem* from = problem();
  const OaqWeights weights = {from->weights, kChannels, kProducts, kProducts, 1};
  int8_t* packed = bench_alloc(layout->channels_per_tile * kProducts);
  oaq_pack_tile(&weights, layout, 0, packed);
  return packed;
}

// [pairs][channels][2]
static const void* pack_wide(const OaqLayout* layout) {
  const size_t channels = layout->channels_per_tile;
  int16_t* packed = bench_alloc(channels * kProducts * sizeof(*packed));
  for (size_t k = 0; k < kProducts; ++k) {
    for (size_t n = 0; n < channels; ++n) {
      packed[(k / 2 * channels + n) * 2 + k % 2] = problem()->weights[n * kProducts + k];
    }
  }
  return packed;
}

// Start values throughout, as where nothing is proven of a sum's sign.
static OaqDrains drains_of(const OaqLayout* layout, size_t depth) {
  const size_t steps = kProducts / oaq_layout_step(layout);
  const size_t block = depth / layout->per_lane;
  const size_t blocks = (steps + block - 1) / block;
  OaqDrains drains = {.num_blocks = blocks};
  drains.blocks = bench_alloc(blocks * sizeof(*drains.blocks));
  for (size_t i = 0; i < blocks; ++i) drains.blocks[i] = (uint32_t)block;
  drains.blocks[blocks - 1] = (uint32_t)(steps - block * (blocks - 1));
  drains.start = bench_alloc(blocks * oaq_layout_tile_lanes(layout) * sizeof(*drains.start));
  return drains;
}

// Tiles are two vectors of 32-bit sums wide; those with more rows than eight one of 512 bits.
static int bits_of(const OaqGemm* gemm) {
  return gemm->rows > 8 ? 512 : 16 * (int)gemm->layout->channels_per_tile;
}

// Of a step of four products, and of a drain, for one row. SSE has no load that broadcasts.
static VectorWork work_of(const OaqGemm* gemm, bool int16, double steps, double drains) {
  const int bits = bits_of(gemm);
  const double vectors = 32.0 * (double)gemm->layout->channels_per_tile / bits;
  const double broadcasts = bits == 128 ? steps : 0;
  if (int16) {
    return (VectorWork){.multiplies = vectors * (steps + drains),
                        .others = vectors * (steps + drains),
                        .shuffles = broadcasts};
  }
  if (gemm->exact_wide) {
    return (VectorWork){.multiplies = 2 * vectors * steps,
                        .others = 2 * vectors * steps,
                        .shuffles = 2 * broadcasts};
  }
  return (VectorWork){.multiplies = vectors * steps};
}

static const char* baseline_of(const OaqGemm* gemm) {
  return bits_of(gemm) == 128 ? "sse41 baseline gemm 3x4" : "avx2 baseline gemm 3x8";
}

static BenchCase* add(BenchCases* cases, const char* isa, const OaqGemm* gemm, Gemm* made) {
  BenchCase* item = bench_cases_add(cases);
  made->gemm = gemm;
  item->data = made;
  item->run = run_gemm;
  item->is_right = is_right;
  item->work = (double)(kRows * made->channels * kProducts);
  item->steps = (double)(kRows / gemm->rows * (kProducts / oaq_layout_step(gemm->layout)));
  item->drains = made->int16 ? (double)(kRows / gemm->rows * made->drains.num_blocks) : 0;
  item->exact = !made->int16;
  const double per_row = (double)gemm->rows / kRows;
  const VectorWork work = work_of(gemm, made->int16, item->steps * per_row, item->drains * per_row);
  item->limit = item->work / (kRows * limit_cycles(bits_of(gemm), &work));
  snprintf(item->baseline, sizeof(item->baseline), "%s", baseline_of(gemm));
  if (gemm->i16 != NULL) {
    snprintf(item->table, sizeof(item->table), "%s gemm %zux%zu", isa, gemm->rows, made->channels);
  }
  return item;
}

static void add_int16(BenchCases* cases, const char* isa, const OaqGemm* gemm, size_t depth) {
  const size_t channels = gemm->layout->channels_per_tile;
  Gemm* made = make(channels);
  made->int16 = true;
  made->drains = drains_of(gemm->layout, depth);
  made->rows =
      one_segment(made->problem->codes, kProducts, kProducts / oaq_layout_step(gemm->layout));
  made->b = pack(gemm->layout);
  BenchCase* item = add(cases, isa, gemm, made);
  char drained[16] = "never drained";
  if (depth < kProducts) snprintf(drained, sizeof(drained), "T=%zu", depth);
  snprintf(item->name, sizeof(item->name), "%s gemm int16 %zux%zu %s", isa, gemm->rows, channels,
           drained);
}

static void add_exact(BenchCases* cases, const char* isa, const OaqGemm* gemm) {
  const size_t channels = gemm->layout->channels_per_tile;
  Gemm* made = make(channels);
  const Problem* from = made->problem;
  if (gemm->exact_wide) {
    made->rows = one_segment(from->wide_codes, 2 * kProducts, kProducts / 2);
    made->b = pack_wide(gemm->layout);
  } else {
    made->rows = one_segment(from->codes, kProducts, kProducts / oaq_layout_step(gemm->layout));
    made->b = pack(gemm->layout);
  }
  BenchCase* item = add(cases, isa, gemm, made);
  snprintf(item->name, sizeof(item->name), "%s gemm exact %zux%zu", isa, gemm->rows, channels);
}

// Families that share their kernels, as a narrower tile with another ISA's, are measured once.
static bool measured(const OaqGemm* gemm) {
  static OaqGemmI32 known[16];
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
    if (known[i] == gemm->i32) return true;
    if (known[i] == NULL) {
      known[i] = gemm->i32;
      return false;
    }
  }
  return false;
}

void bench_add_gemm(BenchCases* cases, const OaqKernels* kernels) {
  static const size_t kDepths[] = {kProducts, 32, 16, 8, 4, 2};
  for (size_t i = 0; i < kernels->num_gemms; ++i) {
    const OaqGemm* gemm = &kernels->gemms[i];
    if (measured(gemm)) continue;
    for (size_t d = 0; gemm->i16 != NULL && d < sizeof(kDepths) / sizeof(kDepths[0]); ++d) {
      add_int16(cases, kernels->isa, gemm, kDepths[d]);
    }
    add_exact(cases, kernels->isa, gemm);
  }
}

static const int8_t* pack_baseline(size_t channels) {
  int8_t* packed = bench_alloc(channels * kProducts);
  for (size_t k = 0; k < kProducts; ++k) {
    for (size_t n = 0; n < channels; ++n) {
      packed[(k / kBaselineStep * channels + n) * kBaselineStep + k % kBaselineStep] =
          problem()->weights[n * kProducts + k];
    }
  }
  return packed;
}

void bench_add_gemm_baseline(BenchCases* cases, const char* isa) {
  const bool avx2 = strcmp(isa, "avx2") == 0;
  if (!avx2 && strcmp(isa, "sse41") != 0) return;
  const size_t channels = avx2 ? 8 : 4;
  Gemm* made = make(channels);
  made->baseline = avx2 ? baseline_gemm_3x8_c8_avx2 : baseline_gemm_3x4_c8_sse41;
  made->b = pack_baseline(channels);
  BenchCase* item = bench_cases_add(cases);
  item->data = made;
  item->run = run_baseline;
  item->is_right = is_right;
  item->work = (double)(kRows * channels * kProducts);
  snprintf(item->name, sizeof(item->name), "%s baseline gemm 3x%zu", isa, channels);
  // A step: each row and each register of weights is widened; a call: three VPHADDD a row, of two
  // shuffles and an addition each.
  const double registers = 4, steps = kProducts / kBaselineStep;
  const double widened = steps * (kBaselineRows + registers);
  const VectorWork work = {.multiplies = steps * kBaselineRows * registers,
                           .shuffles = 6 * kBaselineRows + (avx2 ? 0 : widened),
                           .crossing = avx2 ? widened + kBaselineRows : 0,
                           .others = steps * kBaselineRows * registers + 4 * kBaselineRows};
  item->limit = item->work * kBaselineRows / (kRows * limit_cycles(avx2 ? 256 : 128, &work));
}
