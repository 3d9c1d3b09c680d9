// SPDX-License-Identifier: Apache-2.0
#include "tflite/options.h"

#include <string.h>

#include "tflite/flexbuffer.h"

enum {
  kConv = 1 << OAQ_CONV_2D,
  kDepthwise = 1 << OAQ_DEPTHWISE_CONV_2D,
  kFullyConnected = 1 << OAQ_FULLY_CONNECTED,
  kTransposeConv = 1 << OAQ_TRANSPOSE_CONV,
  kDilated = kConv | kDepthwise,
  kWindowed = kDilated | kTransposeConv,
  kAll = kWindowed | kFullyConnected,
};

typedef struct Key {
  const char* name;
  size_t offset;  // in OaqOptions
  int kinds;
  int32_t lo, hi;
} Key;

static const Key kKeys[] = {
    {"version", offsetof(OaqOptions, version), kAll, 1, 1},
    {"builtin_version", offsetof(OaqOptions, builtin_version), kAll, 1, INT32_MAX},
    {"activation", offsetof(OaqOptions, activation), kAll, 0, 3},
    {"padding", offsetof(OaqOptions, padding), kWindowed, 0, 1},
    {"stride_h", offsetof(OaqOptions, stride_h), kWindowed, 1, INT32_MAX},
    {"stride_w", offsetof(OaqOptions, stride_w), kWindowed, 1, INT32_MAX},
    {"dilation_h", offsetof(OaqOptions, dilation_h), kDilated, 1, INT32_MAX},
    {"dilation_w", offsetof(OaqOptions, dilation_w), kDilated, 1, INT32_MAX},
    {"depth_multiplier", offsetof(OaqOptions, depth_multiplier), kDepthwise, 1, INT32_MAX},
    {"keep_num_dims", offsetof(OaqOptions, keep_num_dims), kFullyConnected, 0, 1},
    {"input_lo", offsetof(OaqOptions, input_lo), kAll, -128, 127},
    {"input_hi", offsetof(OaqOptions, input_hi), kAll, -128, 127},
    {"output_lo", offsetof(OaqOptions, output_lo), kAll, -128, 127},
    {"output_hi", offsetof(OaqOptions, output_hi), kAll, -128, 127},
};

enum { kNumKeys = sizeof(kKeys) / sizeof(kKeys[0]) };

static const char* const kBuiltinNames[] = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED",
                                            "TRANSPOSE_CONV"};
static const char* const kCustomNames[] = {"OaqConv2D", "OaqDepthwiseConv2D", "OaqFullyConnected",
                                           "OaqTransposeConv"};

const char* oaq_kind_builtin_name(OaqKind kind) { return kBuiltinNames[kind]; }

const char* oaq_kind_custom_name(OaqKind kind) { return kCustomNames[kind]; }

OaqKind oaq_kind_of_custom(const char* custom_name) {
  if (custom_name == NULL) return OAQ_KIND_NONE;
  for (int kind = 0; kind < OAQ_KIND_NONE; ++kind) {
    if (strcmp(custom_name, kCustomNames[kind]) == 0) return (OaqKind)kind;
  }
  return OAQ_KIND_NONE;
}

static int find_key(OaqKind kind, const char* name) {
  for (int i = 0; i < kNumKeys; ++i) {
    if ((kKeys[i].kinds >> kind & 1) && strcmp(kKeys[i].name, name) == 0) return i;
  }
  return -1;
}

bool oaq_options_read(OaqKind kind, const void* data, size_t size, OaqOptions* options,
                      OaqError* error) {
  *options = (OaqOptions){.kind = kind};
  OaqFlexMap map;
  if (!oaq_flex_map_open(data, size, &map)) {
    return oaq_fail(
        error, "custom options of %zu bytes are no FlexBuffers map; the file is damaged", size);
  }
  bool seen[kNumKeys] = {false};
  for (size_t i = 0; i < map.count; ++i) {
    const char* name = NULL;
    if (!oaq_flex_map_key(&map, i, &name)) {
      return oaq_fail(error, "custom option %zu has no readable key; the file is damaged", i);
    }
    const int index = find_key(kind, name);
    if (index < 0) {
      return oaq_fail(error,
                      "unknown custom option '%.40s'; this library reads options of version 1, "
                      "update it or convert the model again",
                      name);
    }
    const Key* key = &kKeys[index];
    int64_t value = 0;
    if (!oaq_flex_map_value(&map, i, &value)) {
      return oaq_fail(error, "custom option '%s' is no integer", key->name);
    }
    if (value < key->lo || value > key->hi) {
      return oaq_fail(error, "custom option '%s' is %lld, expected %d to %d", key->name,
                      (long long)value, key->lo, key->hi);
    }
    if (seen[index]) return oaq_fail(error, "custom option '%s' is there twice", key->name);
    seen[index] = true;
    const int32_t narrow = (int32_t)value;
    memcpy((char*)options + key->offset, &narrow, sizeof(narrow));
  }
  for (int i = 0; i < kNumKeys; ++i) {
    if ((kKeys[i].kinds >> kind & 1) && !seen[i]) {
      return oaq_fail(error, "custom option '%s' is missing", kKeys[i].name);
    }
  }
  if (options->input_lo > options->input_hi || options->output_lo > options->output_hi) {
    return oaq_fail(error, "input codes [%d, %d] and output codes [%d, %d], expected lo <= hi",
                    options->input_lo, options->input_hi, options->output_lo, options->output_hi);
  }
  return true;
}
