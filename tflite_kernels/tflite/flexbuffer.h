// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_FLEXBUFFER_H_
#define OAQ_TFLITE_FLEXBUFFER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reader of a FlexBuffers map (flatbuffers' schema-less format) of integers. Every access is
// checked against the buffer: garbage gives false, never a read outside of it.
typedef struct OaqFlexMap {
  const uint8_t* data;
  size_t size;           // bytes of the whole buffer
  size_t count;          // entries
  size_t values, width;  // position of the values and bytes of each
  size_t keys, keys_width;
} OaqFlexMap;

// False where `data` is not a FlexBuffer whose root is a map.
bool oaq_flex_map_open(const void* data, size_t size, OaqFlexMap* map);

// Entry `index` < map->count: its key, NUL-terminated inside the buffer, and its value, an integer
// of any width. False where either is malformed or the value is no integer or does not fit.
bool oaq_flex_map_key(const OaqFlexMap* map, size_t index, const char** key);
bool oaq_flex_map_value(const OaqFlexMap* map, size_t index, int64_t* value);

#endif  // OAQ_TFLITE_FLEXBUFFER_H_
