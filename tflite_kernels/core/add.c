// SPDX-License-Identifier: Apache-2.0
#include "core/add.h"

#include <math.h>

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
  OaqMultiplier multipliers[kChannels];
  for (size_t c = 0; c < kChannels; ++c) multipliers[c] = multiplier;
  const OaqRequantize requantize = {.channels = multipliers,
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
  return create_stage(params, sum_scale, op, error);
}

void oaq_add_free(OaqAdd* op) {
  oaq_output_stage_free(&op->stage);
  *op = (OaqAdd){0};
}

size_t oaq_add_bytes(const OaqAdd* op) { return op->stage.bytes; }

OaqSplit oaq_add_split(const OaqAdd* op, size_t count) {
  return oaq_split(op->threads, oaq_ceil_div(count, kSums), SIZE_MAX, 1, 1, kSums * kAddWork);
}

typedef struct Run {
  const OaqAdd* op;
  const OaqSplit* split;
  size_t count;
  const int8_t *a, *b;
  int8_t* out;
} Run;

static void add(const OaqAdd* op, size_t count, const int8_t* a, const int8_t* b, int8_t* out) {
  _Alignas(64) int32_t sums[kSums];
  op->kernels->add_sums(count, op->inputs, a, b, sums);
  const size_t done = count / kChannels * kChannels;
  op->kernels->output(&op->stage, 0, kChannels, count / kChannels, sums, kChannels, out, kChannels);
  if (done == count) return;
  op->kernels->output(&op->stage, 0, count - done, 1, sums + done, kChannels, out + done,
                      kChannels);
}

static void run_part(void* data, size_t index, size_t worker) {
  (void)worker;
  const Run* run = data;
  const OaqPart part = oaq_split_part(run->split, index);
  for (size_t row = part.first_row; row < part.first_row + part.rows; ++row) {
    const size_t i = row * kSums;
    add(run->op, oaq_min_size(kSums, run->count - i), run->a + i, run->b + i, run->out + i);
  }
}

void oaq_add_run(const OaqAdd* op, const OaqSplit* split, size_t count, const int8_t* a,
                 const int8_t* b, int8_t* out) {
  Run run = {op, split, count, a, b, out};
  oaq_threads_run(op->threads, split->workers, split->parts, run_part, &run);
}
