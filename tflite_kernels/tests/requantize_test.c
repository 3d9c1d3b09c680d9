// SPDX-License-Identifier: Apache-2.0
#include "core/requantize.h"

#include <math.h>

#include "test.h"

// Against plain 64-bit arithmetic, which no product of two int32 leaves: round to nearest, halves
// away from zero, written from the definition.
static int64_t round_half_away(int64_t numerator, int shift) {
  const int64_t half = (int64_t)1 << (shift - 1);
  return numerator >= 0 ? (numerator + half) >> shift : -((-numerator + half) >> shift);
}

// SaturatingRoundingDoublingHighMul rounds halves of negative products up: its nudge is 1 - 2^30
// and the division truncates.
static int64_t high_mul(int64_t value, int64_t multiplier) {
  const int64_t product = (int64_t)value * multiplier;
  if (product >= 0) return (product + ((int64_t)1 << 30)) >> 31;
  return -((-product + ((int64_t)1 << 30) - 1) >> 31);
}

static void test_multiply(Random* random) {
  for (int round = 0; round < 300000; ++round) {
    const int32_t shift = random_int(random, -31, 12);
    const OaqMultiplier multiplier = {random_int(random, 1 << 30, INT32_MAX), shift};
    const int32_t limit = shift > 0 ? INT32_MAX >> shift : INT32_MAX;
    int32_t value = random_int(random, -limit, limit);
    if (round % 7 == 0) value = round % 2 == 0 ? limit : -limit;
    const int64_t shifted = (int64_t)value * (shift > 0 ? (int64_t)1 << shift : 1);
    int64_t expected = high_mul(shifted, multiplier.multiplier);
    if (shift < 0) expected = round_half_away(expected, -shift);
    CHECK(oaq_multiply_by_quantized_multiplier(value, multiplier) == expected);
  }
}

static void test_wraps_like_registers(void) {
  // 2^30 << 2 is 2^32, which is 0 in 32 bits.
  CHECK(oaq_multiply_by_quantized_multiplier(1 << 30, (OaqMultiplier){1 << 30, 2}) == 0);
  CHECK(oaq_multiply_by_quantized_multiplier(INT32_MIN, (OaqMultiplier){INT32_MAX, 0}) ==
        -INT32_MAX);
  CHECK(oaq_multiply_by_quantized_multiplier(INT32_MIN, (OaqMultiplier){1 << 30, 1}) == 0);
}

static void test_real(void) {
  CHECK(oaq_multiply_by_real(5, 0.5) == 3 && oaq_multiply_by_real(-5, 0.5) == -3);
  CHECK(oaq_multiply_by_real(INT32_MAX, 1e30) == INT32_MAX);
  CHECK(oaq_multiply_by_real(INT32_MIN, 1e30) == INT32_MIN);
  double real = 1e9;
  const OaqRequantize huge = {.reals = &real, .zero_point = 127, .lo = -128, .hi = 127};
  CHECK(oaq_requantize(&huge, 0, INT32_MAX) == 127 && oaq_requantize(&huge, 0, -77777) == -128);
}

static void test_quantize_multiplier(Random* random) {
  OaqMultiplier multiplier;
  for (int round = 0; round < 20000; ++round) {
    const double real = ldexp(1.0 + (double)(random_bits(random) >> 12) / 4503599627370496.0,
                              random_int(random, -30, 28));
    CHECK(oaq_quantize_multiplier(real, &multiplier, NULL));
    CHECK(multiplier.multiplier >= 1 << 30);
    const double back = ldexp(multiplier.multiplier, multiplier.shift - 31);
    CHECK(fabs(back - real) <= real * 4.7e-10);
  }
  CHECK(oaq_quantize_multiplier(0.0, &multiplier, NULL) && multiplier.multiplier == 0);
  CHECK(oaq_quantize_multiplier(1.0, &multiplier, NULL) && multiplier.multiplier == 1 << 30 &&
        multiplier.shift == 1);
  // Rounds up to 2^31, which moves into the shift.
  CHECK(oaq_quantize_multiplier(nextafter(1.0, 0.0), &multiplier, NULL) &&
        multiplier.multiplier == 1 << 30 && multiplier.shift == 1);
  CHECK(oaq_quantize_multiplier(1e-30, &multiplier, NULL) && multiplier.multiplier == 0 &&
        multiplier.shift == 0);
  OaqError error;
  CHECK(!oaq_quantize_multiplier(NAN, &multiplier, &error));
  CHECK(!oaq_quantize_multiplier(INFINITY, &multiplier, &error));
  CHECK(!oaq_quantize_multiplier(-0.5, &multiplier, &error));
  CHECK(!oaq_quantize_multiplier(1073741824.0, &multiplier, &error));
}

static void check_range(OaqActivation activation, float scale, int32_t zero_point, int32_t lo,
                        int32_t hi) {
  int32_t got_lo = 0, got_hi = 0;
  CHECK(oaq_activation_range(activation, scale, zero_point, &got_lo, &got_hi));
  CHECK(got_lo == lo && got_hi == hi);
}

static void test_activation_ranges(void) {
  check_range(OAQ_ACTIVATION_NONE, 0.1f, 3, -128, 127);
  check_range(OAQ_ACTIVATION_RELU, 0.1f, -128, -128, 127);
  check_range(OAQ_ACTIVATION_RELU, 0.1f, 0, 0, 127);
  check_range(OAQ_ACTIVATION_RELU, 0.1f, -75, -75, 127);
  check_range(OAQ_ACTIVATION_RELU6, 6.0f / 255.0f, -128, -128, 127);
  check_range(OAQ_ACTIVATION_RELU6, 12.0f / 255.0f, -128, -128, 0);  // 127.5 rounds away from zero
  check_range(OAQ_ACTIVATION_RELU_N1_TO_1, 1.0f / 63.0f, 0, -63, 63);
  check_range(OAQ_ACTIVATION_RELU_N1_TO_1, 1.0f / 300.0f, 0, -128, 127);
  int32_t lo = 0, hi = 0;
  CHECK(!oaq_activation_range(OAQ_ACTIVATION_RELU6, 1e-30f, 0, &lo, &hi));
}

int main(void) {
  Random random = {2};
  test_multiply(&random);
  test_wraps_like_registers();
  test_real();
  test_quantize_multiplier(&random);
  test_activation_ranges();
  return 0;
}
