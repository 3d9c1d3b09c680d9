// SPDX-License-Identifier: Apache-2.0
#include "core/requantize.h"

#include <math.h>

#include "core/size.h"

bool oaq_quantize_multiplier(double real, OaqMultiplier* out, OaqError* error) {
  if (!isfinite(real) || real < 0) {
    return oaq_fail(error, "multiplier %g, expected a finite one that is not negative", real);
  }
  if (real == 0) {
    *out = (OaqMultiplier){0, 0};
    return true;
  }
  int shift = 0;
  int64_t fixed = (int64_t)round(frexp(real, &shift) * 2147483648.0);
  if (fixed == INT64_C(1) << 31) {
    fixed /= 2;
    ++shift;
  }
  if (shift > 30) {
    return oaq_fail(error, "multiplier %g, expected less than 2^30; check the tensors' scales",
                    real);
  }
  if (shift < -31) {
    shift = 0;
    fixed = 0;
  }
  *out = (OaqMultiplier){(int32_t)fixed, shift};
  return true;
}

// round(value * multiplier / 2^31), halves away from zero; multiplier >= 0, so it never saturates.
static int32_t rounding_doubling_high_mul(int32_t value, int32_t multiplier) {
  const int64_t product = (int64_t)value * multiplier;
  const int64_t nudge = product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
  return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

// round(value / 2^exponent), halves away from zero.
static int32_t rounding_divide_by_pot(int32_t value, int32_t exponent) {
  const int64_t mask = (INT64_C(1) << exponent) - 1;
  const int64_t remainder = value & mask;
  const int64_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
  return (int32_t)((value >> exponent) + (remainder > threshold ? 1 : 0));
}

int32_t oaq_multiply_by_quantized_multiplier(int32_t value, OaqMultiplier multiplier) {
  const int32_t left = multiplier.shift > 0 ? multiplier.shift : 0;
  const int32_t right = multiplier.shift > 0 ? 0 : -multiplier.shift;
  const int32_t shifted = (int32_t)((uint32_t)value << left);
  return rounding_divide_by_pot(rounding_doubling_high_mul(shifted, multiplier.multiplier), right);
}

int32_t oaq_multiply_by_real(int32_t value, double real) {
  const double rounded = round(value * real);
  if (rounded >= INT32_MAX) return INT32_MAX;
  if (rounded <= INT32_MIN) return INT32_MIN;
  return (int32_t)rounded;
}

// Far beyond the codes already; limited so that the zero point does not make it wrap.
static int32_t limit(int32_t scaled) { return oaq_clamp(scaled, -(1 << 20), 1 << 20); }

int8_t oaq_requantize(const OaqRequantize* requantize, size_t channel, int32_t accumulator) {
  const int32_t scaled =
      requantize->channels != NULL
          ? oaq_multiply_by_quantized_multiplier(accumulator, requantize->channels[channel])
          : limit(oaq_multiply_by_real(accumulator, requantize->reals[channel]));
  return (int8_t)oaq_clamp(oaq_wrap_add(scaled, requantize->zero_point), requantize->lo,
                           requantize->hi);
}

// zero_point + round(real / scale) in the reference's float arithmetic.
static bool quantize(float real, float scale, int32_t zero_point, int64_t* code) {
  const float rounded = roundf(real / scale);
  if (!(rounded >= -2147483648.0f && rounded <= 2147483648.0f)) return false;
  *code = zero_point + (int64_t)rounded;
  return true;
}

bool oaq_activation_range(OaqActivation activation, float scale, int32_t zero_point, int32_t* lo,
                          int32_t* hi) {
  int64_t least = INT8_MIN;
  int64_t most = INT8_MAX;
  if (activation == OAQ_ACTIVATION_RELU || activation == OAQ_ACTIVATION_RELU6) {
    if (!quantize(0.0f, scale, zero_point, &least)) return false;
  }
  if (activation == OAQ_ACTIVATION_RELU6) {
    if (!quantize(6.0f, scale, zero_point, &most)) return false;
  }
  if (activation == OAQ_ACTIVATION_RELU_N1_TO_1) {
    if (!quantize(-1.0f, scale, zero_point, &least)) return false;
    if (!quantize(1.0f, scale, zero_point, &most)) return false;
  }
  *lo = (int32_t)(least < INT8_MIN ? INT8_MIN : (least > INT8_MAX ? INT8_MAX : least));
  *hi = (int32_t)(most > INT8_MAX ? INT8_MAX : (most < INT8_MIN ? INT8_MIN : most));
  return *lo <= *hi;
}
