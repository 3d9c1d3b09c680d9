// SPDX-License-Identifier: Apache-2.0
#include "core/add.h"

#include <math.h>
#include <stdlib.h>

#include "core/size.h"

// The output stage sees rows of so many channels, all alike.
enum { kChannels = 32, kRows = 32, kSums = kChannels * kRows };

// An addition takes as long as so many products.
enum { kAddWork = 32 };

// TFLite's QuantizeMultiplierSmallerThanOneExp.
static bool quantize_below_one(double real, OaqMultiplier* multiplier, OaqError* error) {
  if (!(real > 0 && real < 1)) {
    return oaq_fail(error, "multiplier %g of an addition, expected above 0 and below 1", real);
  }
  if (!oaq_quantize_multiplier(real, multiplier, error)) return false;
  // The next one up rounded to 1.
  return multiplier->shift <= 0 ||
         oaq_fail(error, "multiplier %.17g of an addition rounds to 1, expected below 1", real);
}

// core/add_sums.h has the formula.
static OaqAddInput input_of(OaqMultiplier multiplier, int32_t zero_point) {
  const int32_t right = -multiplier.shift;
  return (OaqAddInput){.zero_point = zero_point,
                       .high = multiplier.multiplier >> 11,
                       .low = multiplier.multiplier & 0x7FF,
                       .shift = right,
                       .half = right > 0 ? (int32_t)(UINT32_C(1) << (right - 1)) : 0,
                       .is_shifted = right > 0 ? 1 : 0};
}

static bool create_stage(const OaqAddParams* params, double sum_scale, OaqAdd* op,
                         OaqError* error) {
  OaqMultiplier multiplier;
  if (!quantize_below_one(sum_scale / ((1 << 20) * params->output_scale), &multiplier, error)) {
    return false;
  }
  op->multipliers = calloc(kChannels, sizeof(*op->multipliers));
  if (op->multipliers == NULL) return oaq_fail(error, "out of memory");
  for (size_t c = 0; c < kChannels; ++c) op->multipliers[c] = multiplier;
  const OaqRequantize requantize = {.channels = op->multipliers,
                                    .zero_point = params->output_zero_point,
                                    .lo = params->lo,
                                    .hi = params->hi};
  return oaq_output_stage_init(&requantize, kChannels, &op->stage, error);
}

bool oaq_add_create(const OaqAddParams* params, const OaqKernels* kernels, OaqThreads* threads,
                    OaqAdd* op, OaqError* error) {
  *op = (OaqAdd){.kernels = kernels, .threads = threads};
  const double sum_scale = 2 * fmax(params->scales[0], params->scales[1]);
  for (int i = 0; i < 2; ++i) {
    OaqMultiplier multiplier;
    const int32_t zero_point = params->zero_points[i];
    if (zero_point < INT8_MIN || zero_point > INT8_MAX) {
      return oaq_fail(error, "zero point %d of an int8 tensor", zero_point);
    }
    if (!quantize_below_one(params->scales[i] / sum_scale, &multiplier, error)) return false;
    op->inputs[i] = input_of(multiplier, zero_point);
  }
  if (create_stage(params, sum_scale, op, error)) return true;
  oaq_add_free(op);
  return false;
}

void oaq_add_free(OaqAdd* op) {
  oaq_output_stage_free(&op->stage);
  free(op->multipliers);
  *op = (OaqAdd){0};
}

typedef struct Run {
  const OaqAdd* op;
  size_t count, part_size;
  const int8_t *a, *b;
  int8_t* out;
} Run;

static void run_part(void* data, size_t part, size_t worker) {
  (void)worker;
  const Run* run = data;
  const OaqKernels* kernels = run->op->kernels;
  const size_t end = oaq_min_size((part + 1) * run->part_size, run->count);
  _Alignas(64) int32_t sums[kSums];
  for (size_t i = part * run->part_size; i < end; i += kSums) {
    const size_t count = oaq_min_size(kSums, end - i);
    kernels->add_sums(count, run->op->inputs, run->a + i, run->b + i, sums);
    const size_t rows = count / kChannels;
    const size_t rest = count % kChannels;
    const OaqOutputStage* stage = &run->op->stage;
    kernels->output(stage, 0, kChannels, rows, sums, kChannels, run->out + i, kChannels);
    if (rest > 0) {
      const size_t done = rows * kChannels;
      kernels->output(stage, 0, rest, 1, sums + done, kChannels, run->out + i + done, kChannels);
    }
  }
}

void oaq_add_run(const OaqAdd* op, size_t count, const int8_t* a, const int8_t* b, int8_t* out) {
  const size_t threads = oaq_threads_count(op->threads);
  const size_t worth = count / (oaq_threads_part_macs(op->threads) / kAddWork + 1);
  const size_t parts = threads == 1 || worth < 2 ? 1 : oaq_min_size(worth, 2 * threads);
  const size_t part_size = oaq_ceil_div(oaq_ceil_div(count, parts), kSums) * kSums;
  if (count == 0) return;
  Run run = {op, count, part_size, a, b, out};
  oaq_threads_run(op->threads, parts == 1 ? 1 : threads, oaq_ceil_div(count, part_size), run_part,
                  &run);
}
