// SPDX-License-Identifier: Apache-2.0
#include "core/code_table.h"

#include <math.h>
#include <string.h>

#include "test.h"

// Tables against real arithmetic, then bytes through them: alone, in place and on threads. That the
// tables are TFLite's to the bit is for tests/test_kernels_vs_reference.py to show.

static int32_t code_of(int byte, bool is_signed) { return is_signed ? (int8_t)byte : byte; }

static OaqCodes random_codes_format(Random* random) {
  const bool is_signed = random_int(random, 0, 1) == 1;
  const OaqRange range = oaq_codes_range(is_signed);
  return (OaqCodes){is_signed, (float)ldexp(random_int(random, 1 << 20, 1 << 21), -30),
                    random_int(random, range.lo, range.hi)};
}

// Two roundings: to half a code, and before it to half of what the right shift then divides.
static void check_codes(const OaqCodes* from, const OaqCodes* to, const OaqCodeTable* table) {
  const OaqRange limits = oaq_codes_range(to->is_signed);
  const double ratio = (double)from->scale / (double)to->scale;
  for (int i = 0; i < 256; ++i) {
    const int32_t steps = code_of(i, from->is_signed) - from->zero_point;
    const double exact = steps * ratio + to->zero_point;
    const int32_t code = code_of(table->bytes[i], to->is_signed);
    const double clamped = fmin(fmax(exact, limits.lo), limits.hi);
    CHECK(fabs(code - clamped) <= (ratio < 1 ? 0.75 : 0.5 + 1e-6));
    if (steps == 0) CHECK(code == to->zero_point);
  }
}

static void check_range(const OaqCodeTable* table, Random* random) {
  const OaqRange all = oaq_codes_range(table->from_signed);
  const int32_t lo = random_int(random, all.lo, all.hi);
  const OaqRange given = {lo, random_int(random, lo, all.hi)};
  OaqRange expected = {INT32_MAX, INT32_MIN};
  for (int32_t code = given.lo; code <= given.hi; ++code) {
    const int32_t out = code_of(table->bytes[(uint8_t)code], table->to_signed);
    if (out < expected.lo) expected.lo = out;
    if (out > expected.hi) expected.hi = out;
  }
  const OaqRange got = oaq_code_table_range(table, given);
  CHECK(got.lo == expected.lo && got.hi == expected.hi);
}

static void test_tables(Random* random) {
  for (int round = 0; round < 4000; ++round) {
    const OaqCodes from = random_codes_format(random);
    OaqCodes to = random_codes_format(random);
    to.scale = (float)ldexp(to.scale, random_int(random, -20, 30));
    OaqCodeTable table;
    CHECK(oaq_code_table_init(&from, &to, &table, NULL));
    check_codes(&from, &to, &table);
    check_range(&table, random);
  }
}

static OaqCodeChange change_between(const OaqCodes* from, const OaqCodes* to, OaqCodeTable* table) {
  CHECK(oaq_code_table_init(from, to, table, NULL));
  return table->change;
}

static void test_changes_that_need_no_table(void) {
  OaqCodeTable table;
  const OaqCodes uint8 = {false, 0.25f, 131};
  const OaqCodes int8 = {true, 0.25f, 3};
  CHECK(change_between(&uint8, &int8, &table) == OAQ_CODES_FLIPPED);
  CHECK(table.bytes[0] == 0x80 && table.bytes[255] == 0x7F);
  CHECK(change_between(&int8, &uint8, &table) == OAQ_CODES_FLIPPED);
  CHECK(table.bytes[0x80] == 0 && table.bytes[0x7F] == 255);
  CHECK(change_between(&int8, &int8, &table) == OAQ_CODES_KEPT);
  CHECK(change_between(&uint8, &uint8, &table) == OAQ_CODES_KEPT);
  const OaqCodes next = {true, 0.25f, 4};
  CHECK(change_between(&int8, &next, &table) == OAQ_CODES_LOOKED_UP);
  CHECK(table.bytes[127] == 127 && table.bytes[128] == 129);
  // The same zero point, between types: what has no code there is clamped.
  const OaqCodes unsigned_3 = {false, 0.25f, 3};
  CHECK(change_between(&int8, &unsigned_3, &table) == OAQ_CODES_LOOKED_UP);
  CHECK(table.bytes[127] == 127 && table.bytes[128] == 0);
  const OaqCodes coarse = {true, 0.5f, 3};
  CHECK(change_between(&int8, &coarse, &table) == OAQ_CODES_LOOKED_UP);
}

static void test_extreme_ratios(void) {
  OaqCodeTable table;
  OaqError error;
  const OaqCodes tiny = {true, 1e-30f, -5};
  const OaqCodes huge = {false, 1e30f, 77};
  CHECK(oaq_code_table_init(&tiny, &huge, &table, NULL));
  for (int i = 0; i < 256; ++i) CHECK(table.bytes[i] == 77);
  CHECK(!oaq_code_table_init(&huge, &tiny, &table, &error));
  const OaqCodes one = {false, 1.0f, 255};
  const OaqCodes below = {true, ldexpf(1.0f, -23) * 1.0000002f, 127};
  CHECK(oaq_code_table_init(&one, &below, &table, NULL));
  for (int i = 0; i < 256; ++i) CHECK((int8_t)table.bytes[i] == (i == 255 ? 127 : -128));
  const OaqCodes at = {true, ldexpf(1.0f, -23), 127};
  CHECK(!oaq_code_table_init(&one, &at, &table, &error));
  CHECK(strstr(error.text, "expected less than 2^23 times") != NULL);
}

static void test_leaky_relu(Random* random) {
  for (int round = 0; round < 2000; ++round) {
    OaqCodes from = random_codes_format(random);
    OaqCodes to = random_codes_format(random);
    to.scale = (float)ldexp(from.scale, random_int(random, -6, 6));
    const float alpha = (float)random_int(random, 0, 300) / 200.0f;
    OaqCodeTable table;
    CHECK(oaq_code_table_init_leaky_relu(&from, &to, alpha, &table, NULL));
    const OaqRange limits = oaq_codes_range(to.is_signed);
    for (int i = 0; i < 256; ++i) {
      const int32_t steps = code_of(i, from.is_signed) - from.zero_point;
      const double real = (double)from.scale * steps * (steps < 0 ? (double)alpha : 1.0);
      const double exact = real / (double)to.scale + to.zero_point;
      const double clamped = fmin(fmax(exact, limits.lo), limits.hi);
      CHECK(fabs(code_of(table.bytes[i], to.is_signed) - clamped) <= 0.75 + 1e-4);
    }
    check_range(&table, random);
  }
  const OaqCodes codes = {true, 0.5f, 3};
  OaqCodeTable table;
  OaqError error;
  // A slope of 1 changes nothing, one of 0 is RELU.
  CHECK(oaq_code_table_init_leaky_relu(&codes, &codes, 1.0f, &table, NULL));
  CHECK(table.change == OAQ_CODES_KEPT);
  CHECK(oaq_code_table_init_leaky_relu(&codes, &codes, 0.0f, &table, NULL));
  CHECK(table.bytes[0x80] == 3 && table.bytes[2] == 3 && table.bytes[4] == 4);
  const float wrong[] = {-0.5f, NAN, INFINITY, 1e8f};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); ++i) {
    CHECK(!oaq_code_table_init_leaky_relu(&codes, &codes, wrong[i], &table, &error));
  }
}

// Bytes before and behind the output must stay.
static void check_run(const OaqCodeTable* table, OaqLookUp look_up, OaqThreads* threads,
                      size_t count, size_t offset, Random* random) {
  uint8_t* in = test_alloc(count + 2, 1);
  uint8_t* out = test_alloc(count + 18, 1);
  for (size_t i = 0; i < count; ++i) in[i] = (uint8_t)random_bits(random);
  memset(out, 0x55, count + 18);
  const OaqSplit split = oaq_code_table_split(table, threads, count);
  oaq_code_table_run(table, look_up, &split, threads, count, in, out + 1 + offset);
  for (size_t i = 0; i < count; ++i) CHECK(out[1 + offset + i] == table->bytes[in[i]]);
  CHECK(out[offset] == 0x55 && out[1 + offset + count] == 0x55);
  oaq_code_table_run(table, look_up, &split, threads, count, in, in);
  CHECK(memcmp(in, out + 1 + offset, count) == 0);
  free(in);
  free(out);
}

static void test_runs(OaqLookUp look_up, Random* random) {
  static const size_t kSizes[] = {0,  1,  7,    8,    9,    15,    16,    17,
                                  31, 33, 4095, 4096, 4097, 50001, 600000};
  static const OaqCodes kFrom = {false, 0.5f, 128};
  static const OaqCodes kTo[] = {{false, 0.5f, 128}, {true, 0.5f, 0}, {true, 0.7f, -3}};
  for (size_t workers = 1; workers <= 8; workers *= 2) {
    OaqThreads* threads = workers > 1 ? oaq_threads_create(workers, OAQ_PART_MACS) : NULL;
    for (size_t change = 0; change < 3; ++change) {
      OaqCodeTable table;
      CHECK(change_between(&kFrom, &kTo[change], &table) == (OaqCodeChange)change);
      for (size_t i = 0; i < sizeof(kSizes) / sizeof(kSizes[0]); ++i) {
        check_run(&table, look_up, threads, kSizes[i], i % 16, random);
      }
      // Large tensors are shared out, small ones are not.
      CHECK(oaq_code_table_split(&table, threads, 16384).workers == 1);
      const OaqSplit large = oaq_code_table_split(&table, threads, 8 << 20);
      CHECK(large.workers == oaq_threads_count(threads) && large.parts >= large.workers);
    }
    oaq_threads_destroy(threads);
  }
}

int main(void) {
  Random random = {3};
  test_tables(&random);
  test_changes_that_need_no_table();
  test_extreme_ratios();
  test_leaky_relu(&random);
  test_runs(NULL, &random);
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    if (kernels != NULL && kernels->look_up != NULL) test_runs(kernels->look_up, &random);
  }
  return 0;
}
