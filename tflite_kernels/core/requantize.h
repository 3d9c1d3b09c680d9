// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_REQUANTIZE_H_
#define OAQ_CORE_REQUANTIZE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

// TFLite's int8 output stage, to the bit. The convolutions' reference kernels use a fixed-point
// multiplier with two roundings (gemmlowp's SaturatingRoundingDoublingHighMul, then
// RoundingDivideByPOT); that of FULLY_CONNECTED rounds the real product once in TensorFlow 2.21 and
// LiteRT 2.3 (reference/integer_ops/fully_connected.h), where older releases do as the
// convolutions: the two differ by a code now and then. Then come the output's zero point and a
// clamp.

// real ~= multiplier * 2^(shift - 31), multiplier in [2^30, 2^31) or zero.
typedef struct OaqMultiplier {
  int32_t multiplier;
  int32_t shift;
} OaqMultiplier;

typedef struct OaqRequantize {
  OaqMultiplier* channels;  // one an output channel; NULL: `reals` instead
  double* reals;            // real multipliers, rounded once; finite and not negative
  int32_t zero_point;       // of the output
  int32_t lo, hi;           // limits of the output codes, in [-128, 127]
} OaqRequantize;

// TFLite's QuantizeMultiplier. `real` must be finite and not negative, and below 2^30: a larger one
// would shift bits out of 32 (error says so).
bool oaq_quantize_multiplier(double real, OaqMultiplier* out, OaqError* error);

// TFLite's MultiplyByQuantizedMultiplier, wrapping modulo 2^32 where the reference does.
int32_t oaq_multiply_by_quantized_multiplier(int32_t value, OaqMultiplier multiplier);

// round(value * real), halves away from zero, limited to what an int32 holds.
int32_t oaq_multiply_by_real(int32_t value, double real);

// One accumulator of output channel `channel` into its code.
int8_t oaq_requantize(const OaqRequantize* requantize, size_t channel, int32_t accumulator);

// TFLite's CalculateActivationRangeQuantized for an int8 tensor: the codes that a fused activation
// (schema ActivationFunctionType: NONE, RELU, RELU_N1_TO_1, RELU6) leaves. False where 1 / scale or
// 6 / scale does not fit an int32, which TFLite refuses as well.
typedef enum OaqActivation {
  OAQ_ACTIVATION_NONE = 0,
  OAQ_ACTIVATION_RELU = 1,
  OAQ_ACTIVATION_RELU_N1_TO_1 = 2,
  OAQ_ACTIVATION_RELU6 = 3,
} OaqActivation;

bool oaq_activation_range(OaqActivation activation, float scale, int32_t zero_point, int32_t* lo,
                          int32_t* hi);

#endif  // OAQ_CORE_REQUANTIZE_H_
