// SPDX-License-Identifier: Apache-2.0
#include "tflite/flexbuffer.h"

#include <string.h>

#include "test.h"
#include "tflite/options.h"

// {"a": -1, "b": 300, "c": 2} as the Python flexbuffers module writes it.
static const uint8_t kSmall[] = {97, 0, 98,  0,   99, 0, 3, 7, 6, 5, 3, 0, 1,  0,
                                 3,  0, 255, 255, 44, 1, 2, 0, 5, 5, 5, 9, 37, 1};

typedef struct Built {
  uint8_t data[1024];
  size_t size;
} Built;

static void put(Built* built, uint64_t value, size_t width) {
  for (size_t i = 0; i < width; ++i) built->data[built->size++] = (uint8_t)(value >> (8 * i));
}

// A map of `count` sorted keys with values of `width` bytes, built after the format's description.
static void build(const char* const* keys, const int64_t* values, size_t count, size_t width,
                  Built* built) {
  size_t positions[32];
  built->size = 0;
  for (size_t i = 0; i < count; ++i) {
    positions[i] = built->size;
    memcpy(built->data + built->size, keys[i], strlen(keys[i]) + 1);
    built->size += strlen(keys[i]) + 1;
  }
  while (built->size % 8 != 0) built->data[built->size++] = 0;
  put(built, count, 2);
  const size_t keys_vector = built->size;
  for (size_t i = 0; i < count; ++i) put(built, built->size - positions[i], 2);
  while (built->size % 8 != 0) built->data[built->size++] = 0;
  put(built, built->size - keys_vector, width);
  put(built, 2, width);
  put(built, count, width);
  const size_t values_vector = built->size;
  for (size_t i = 0; i < count; ++i) put(built, (uint64_t)values[i], width);
  const uint8_t width_bits = width == 8 ? 3 : (width == 4 ? 2 : (width == 2 ? 1 : 0));
  for (size_t i = 0; i < count; ++i) put(built, (uint64_t)(1 << 2 | width_bits), 1);
  put(built, built->size - values_vector, 2);
  put(built, (uint64_t)(9 << 2 | width_bits), 1);
  put(built, 2, 1);
}

static const char* const kKeys[] = {"activation",    "builtin_version", "input_hi",  "input_lo",
                                    "keep_num_dims", "output_hi",       "output_lo", "version"};
static const int64_t kValues[] = {1, 4, 127, -128, 1, 100, -100, 1};
enum { kCount = 8 };

static void test_python_layout(void) {
  OaqFlexMap map;
  const int64_t expected[] = {-1, 300, 2};
  CHECK(oaq_flex_map_open(kSmall, sizeof(kSmall), &map));
  CHECK(map.count == 3);
  for (size_t i = 0; i < 3; ++i) {
    const char* key = NULL;
    int64_t value = 0;
    CHECK(oaq_flex_map_key(&map, i, &key) && key[0] == (char)('a' + i) && key[1] == 0);
    CHECK(oaq_flex_map_value(&map, i, &value) && value == expected[i]);
  }
}

static void test_all_widths(void) {
  for (size_t width = 1; width <= 8; width *= 2) {
    Built built;
    OaqOptions options;
    OaqError error = {""};
    build(kKeys, kValues, kCount, width, &built);
    if (!oaq_options_read(OAQ_FULLY_CONNECTED, built.data, built.size, &options, &error)) {
      fprintf(stderr, "%s\n", error.text);
      CHECK(false);
    }
    CHECK(options.activation == 1 && options.builtin_version == 4 && options.keep_num_dims == 1);
    CHECK(options.input_lo == -128 && options.input_hi == 127);
    CHECK(options.output_lo == -100 && options.output_hi == 100);
  }
}

static void expect_error(const char* const* keys, const int64_t* values, size_t count,
                         const char* part) {
  Built built;
  OaqOptions options;
  OaqError error = {""};
  build(keys, values, count, 4, &built);
  CHECK(!oaq_options_read(OAQ_FULLY_CONNECTED, built.data, built.size, &options, &error));
  if (strstr(error.text, part) == NULL) fprintf(stderr, "%s\n", error.text);
  CHECK(strstr(error.text, part) != NULL);
}

static void test_errors_name_the_key(void) {
  for (size_t without = 0; without < kCount; ++without) {
    const char* keys[kCount];
    int64_t values[kCount];
    size_t count = 0;
    for (size_t i = 0; i < kCount; ++i) {
      if (i == without) continue;
      keys[count] = kKeys[i];
      values[count++] = kValues[i];
    }
    expect_error(keys, values, count, kKeys[without]);
  }
  for (size_t wrong = 0; wrong < kCount; ++wrong) {
    int64_t values[kCount];
    memcpy(values, kValues, sizeof(values));
    values[wrong] = -129;
    expect_error(kKeys, values, kCount, kKeys[wrong]);
  }
  const char* unknown[kCount + 1];
  int64_t values[kCount + 1] = {0};
  memcpy(unknown, kKeys, sizeof(kKeys));
  memcpy(values, kValues, sizeof(kValues));
  unknown[kCount] = "stride_h";
  expect_error(unknown, values, kCount + 1, "unknown custom option 'stride_h'");
  unknown[kCount] = "version";
  values[kCount] = 1;
  expect_error(unknown, values, kCount + 1, "twice");
  const int64_t crossed[] = {1, 4, -5, 5, 1, 100, -100, 1};
  expect_error(kKeys, crossed, kCount, "lo <= hi");
}

// Reads every entry; all that matters is that nothing outside of the copy is touched, which the
// sanitizers see: the copy is exactly as long as the buffer.
static void read_all(const uint8_t* data, size_t size) {
  uint8_t* copy = malloc(size > 0 ? size : 1);
  CHECK(copy != NULL);
  memcpy(copy, data, size);
  OaqFlexMap map;
  if (oaq_flex_map_open(copy, size, &map)) {
    for (size_t i = 0; i < map.count; ++i) {
      const char* key = NULL;
      int64_t value = 0;
      if (oaq_flex_map_key(&map, i, &key)) CHECK(strlen(key) < size);
      oaq_flex_map_value(&map, i, &value);
    }
  }
  OaqOptions options;
  OaqError error;
  oaq_options_read(OAQ_FULLY_CONNECTED, copy, size, &options, &error);
  free(copy);
}

static void test_damaged_buffers(Random* random) {
  for (size_t width = 1; width <= 8; width *= 2) {
    Built built;
    build(kKeys, kValues, kCount, width, &built);
    for (size_t size = 0; size <= built.size; ++size) {
      read_all(built.data, size);
      read_all(built.data + size, built.size - size);
    }
    for (int round = 0; round < 20000; ++round) {
      Built damaged = built;
      const int32_t changes = random_int(random, 1, 4);
      for (int32_t i = 0; i < changes; ++i) {
        damaged.data[random_int(random, 0, (int32_t)built.size - 1)] =
            (uint8_t)random_int(random, 0, 255);
      }
      read_all(damaged.data, damaged.size);
    }
  }
  OaqFlexMap map;
  CHECK(!oaq_flex_map_open(NULL, 0, &map));
  // Roots that are no maps, widths that do not exist.
  static const uint8_t kInteger[] = {5, 4, 1}, kWidth[] = {5, 36, 3}, kSelf[] = {0, 36, 1};
  CHECK(!oaq_flex_map_open(kInteger, sizeof(kInteger), &map));
  CHECK(!oaq_flex_map_open(kWidth, sizeof(kWidth), &map));
  CHECK(!oaq_flex_map_open(kSelf, sizeof(kSelf), &map));
}

int main(void) {
  Random random = {5};
  test_python_layout();
  test_all_widths();
  test_errors_name_the_key();
  test_damaged_buffers(&random);
  return 0;
}
