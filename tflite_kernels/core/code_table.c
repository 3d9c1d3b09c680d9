// SPDX-License-Identifier: Apache-2.0
#include "core/code_table.h"

#include <string.h>

#include "core/requantize.h"
#include "core/size.h"

enum {
  // 255 << 23, and a zero point besides, fits an int32: nothing wraps up to here.
  kMostShift = 23,
  kTopBit = 0x80,
  // Bytes of a row, the smallest part: whole cache lines.
  kRow = 4096,
  // Bytes that take about as long as waking a thread. A table gives one a cycle, vectors a dozen.
  kLookUpsAPart = 1 << 14,
  kVectorsAPart = 1 << 18,
};

OaqRange oaq_codes_range(bool is_signed) {
  return is_signed ? (OaqRange){INT8_MIN, INT8_MAX} : (OaqRange){0, UINT8_MAX};
}

// A byte's code, of either type.
static int32_t code_of(uint8_t byte, bool is_signed) {
  return is_signed && byte >= kTopBit ? byte - 256 : byte;
}

static OaqCodeChange change_of(const uint8_t* bytes) {
  bool kept = true;
  bool flipped = true;
  for (int i = 0; i < 256; ++i) {
    kept = kept && bytes[i] == i;
    flipped = flipped && bytes[i] == (i ^ kTopBit);
  }
  return kept ? OAQ_CODES_KEPT : flipped ? OAQ_CODES_FLIPPED : OAQ_CODES_LOOKED_UP;
}

static bool multiplier_of(double ratio, const OaqCodes* input, const OaqCodes* output,
                          OaqMultiplier* multiplier, OaqError* error) {
  if (!oaq_quantize_multiplier(ratio, multiplier, error)) return false;
  if (multiplier->shift <= kMostShift) return true;
  return oaq_fail(error, "scale %g to scale %g, expected less than 2^23 times the output's",
                  (double)input->scale, (double)output->scale);
}

static void fill(const OaqCodes* input, const OaqCodes* output, OaqMultiplier above,
                 OaqMultiplier below, OaqCodeTable* table) {
  const OaqRange limits = oaq_codes_range(output->is_signed);
  for (int i = 0; i < 256; ++i) {
    const int32_t steps = code_of((uint8_t)i, input->is_signed) - input->zero_point;
    const int32_t scaled = oaq_multiply_by_quantized_multiplier(steps, steps < 0 ? below : above);
    table->bytes[i] = (uint8_t)oaq_clamp(scaled + output->zero_point, limits.lo, limits.hi);
  }
  table->change = change_of(table->bytes);
  table->from_signed = input->is_signed;
  table->to_signed = output->is_signed;
}

bool oaq_code_table_init(const OaqCodes* input, const OaqCodes* output, OaqCodeTable* table,
                         OaqError* error) {
  OaqMultiplier multiplier;
  const double ratio = (double)input->scale / (double)output->scale;
  if (!multiplier_of(ratio, input, output, &multiplier, error)) return false;
  fill(input, output, multiplier, multiplier, table);
  return true;
}

bool oaq_code_table_init_leaky_relu(const OaqCodes* input, const OaqCodes* output, float alpha,
                                    OaqCodeTable* table, OaqError* error) {
  // Below 0 a larger code could become a smaller one.
  if (!(alpha >= 0)) return oaq_fail(error, "alpha %g, expected 0 or more", (double)alpha);
  // Products and quotients in single precision, as TFLite takes them here.
  const float ratio = input->scale / output->scale;
  const float leak = input->scale * alpha / output->scale;
  OaqMultiplier above, below;
  if (!multiplier_of((double)ratio, input, output, &above, error) ||
      !multiplier_of((double)leak, input, output, &below, error)) {
    return false;
  }
  fill(input, output, above, below, table);
  return true;
}

OaqRange oaq_code_table_range(const OaqCodeTable* table, OaqRange range) {
  // A larger code never becomes a smaller one.
  return (OaqRange){code_of(table->bytes[(uint8_t)range.lo], table->to_signed),
                    code_of(table->bytes[(uint8_t)range.hi], table->to_signed)};
}

static void flip(size_t count, const uint8_t* in, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = in[i] ^ kTopBit;
}

static void look_up_plainly(const uint8_t* bytes, size_t count, const uint8_t* in, uint8_t* out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    // Before the first store, which the next load would have to wait for: it may be of the same
    // memory for all the compiler knows.
    const uint8_t a = in[i], b = in[i + 1], c = in[i + 2], d = in[i + 3];
    const uint8_t e = in[i + 4], f = in[i + 5], g = in[i + 6], h = in[i + 7];
    out[i] = bytes[a];
    out[i + 1] = bytes[b];
    out[i + 2] = bytes[c];
    out[i + 3] = bytes[d];
    out[i + 4] = bytes[e];
    out[i + 5] = bytes[f];
    out[i + 6] = bytes[g];
    out[i + 7] = bytes[h];
  }
  for (; i < count; ++i) out[i] = bytes[in[i]];
}

void oaq_code_table_apply(const OaqCodeTable* table, OaqLookUp look_up, size_t count,
                          const uint8_t* in, uint8_t* out) {
  if (table->change == OAQ_CODES_LOOKED_UP) {
    (look_up != NULL ? look_up : look_up_plainly)(table->bytes, count, in, out);
  } else if (table->change == OAQ_CODES_FLIPPED) {
    flip(count, in, out);
  } else if (in != out) {
    memcpy(out, in, count);
  }
}

OaqSplit oaq_code_table_split(const OaqCodeTable* table, const OaqThreads* threads, size_t count) {
  const bool looked_up = table->change == OAQ_CODES_LOOKED_UP;
  const double part = looked_up ? kLookUpsAPart : kVectorsAPart;
  const double row_macs = (double)oaq_threads_part_macs(threads) * kRow / part;
  return oaq_split(threads, oaq_ceil_div(count, kRow), SIZE_MAX, 1, 1, row_macs);
}

typedef struct Run {
  const OaqCodeTable* table;
  OaqLookUp look_up;
  const OaqSplit* split;
  size_t count;
  const uint8_t* in;
  uint8_t* out;
} Run;

static void run_part(void* data, size_t index, size_t worker) {
  (void)worker;
  const Run* run = data;
  const OaqPart part = oaq_split_part(run->split, index);
  const size_t first = part.first_row * kRow;
  const size_t count = oaq_min_size(part.rows * kRow, run->count - first);
  oaq_code_table_apply(run->table, run->look_up, count, run->in + first, run->out + first);
}

void oaq_code_table_run(const OaqCodeTable* table, OaqLookUp look_up, const OaqSplit* split,
                        OaqThreads* threads, size_t count, const uint8_t* in, uint8_t* out) {
  Run run = {table, look_up, split, count, in, out};
  oaq_threads_run(threads, split->workers, split->parts, run_part, &run);
}
