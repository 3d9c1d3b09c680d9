// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_OPTIONS_H_
#define OAQ_TFLITE_OPTIONS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

typedef enum OaqKind {
  OAQ_CONV_2D,
  OAQ_DEPTHWISE_CONV_2D,
  OAQ_FULLY_CONNECTED,
  OAQ_TRANSPOSE_CONV,
  OAQ_KIND_NONE,
} OaqKind;

// "CONV_2D" and "OaqConv2D".
const char* oaq_kind_builtin_name(OaqKind kind);
const char* oaq_kind_custom_name(OaqKind kind);

// The kind of a custom op; OAQ_KIND_NONE where it is not one of ours.
OaqKind oaq_kind_of_custom(const char* custom_name);

// An op's options, values as in the schema (docs/format.md). Builtin ops have output_lo and
// output_hi of [-128, 127] and no claim about their input.
typedef struct OaqOptions {
  OaqKind kind;
  int32_t version, builtin_version, activation, padding;
  int32_t stride_h, stride_w, dilation_h, dilation_w;
  int32_t depth_multiplier, keep_num_dims;
  int32_t input_lo, input_hi, output_lo, output_hi;
} OaqOptions;

// Reads the custom_options of an op of `kind`.
bool oaq_options_read(OaqKind kind, const void* data, size_t size, OaqOptions* options,
                      OaqError* error);

#endif  // OAQ_TFLITE_OPTIONS_H_
