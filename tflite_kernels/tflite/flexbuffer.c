// SPDX-License-Identifier: Apache-2.0
#include "tflite/flexbuffer.h"

#include <string.h>

// Types of flatbuffers/flexbuffers.h; a packed type is type << 2 | log2(width of what it refers
// to).
enum { kInt = 1, kUint = 2, kIndirectInt = 6, kIndirectUint = 7, kMap = 9 };

// A little-endian unsigned integer of `width` bytes (1, 2, 4 or 8) at `position`.
static bool read_uint(const OaqFlexMap* map, size_t position, size_t width, uint64_t* value) {
  if (position > map->size || width > map->size - position) return false;
  *value = 0;
  for (size_t i = 0; i < width; ++i) *value |= (uint64_t)map->data[position + i] << (8 * i);
  return true;
}

// Where the offset stored at `position` points: backwards from its own place.
static bool follow(const OaqFlexMap* map, size_t position, size_t width, size_t* target) {
  uint64_t offset = 0;
  if (!read_uint(map, position, width, &offset) || offset > position) return false;
  *target = position - (size_t)offset;
  return true;
}

bool oaq_flex_map_open(const void* data, size_t size, OaqFlexMap* map) {
  *map = (OaqFlexMap){.data = data, .size = size};
  if (data == NULL || size < 3) return false;
  const size_t root_width = map->data[size - 1];
  const uint8_t root_type = map->data[size - 2];
  if (root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) return false;
  if (root_type >> 2 != kMap || root_width > size - 2) return false;
  if (!follow(map, size - 2 - root_width, root_width, &map->values)) return false;
  map->width = (size_t)1 << (root_type & 3);
  // Before the values: offset of the keys, width of the keys, number of entries.
  uint64_t count = 0, keys_width = 0, keys_count = 0;
  if (map->values < 3 * map->width) return false;
  if (!follow(map, map->values - 3 * map->width, map->width, &map->keys) ||
      !read_uint(map, map->values - 2 * map->width, map->width, &keys_width) ||
      !read_uint(map, map->values - map->width, map->width, &count)) {
    return false;
  }
  if (keys_width != 1 && keys_width != 2 && keys_width != 4 && keys_width != 8) return false;
  map->keys_width = (size_t)keys_width;
  if (map->keys < map->keys_width ||
      !read_uint(map, map->keys - map->keys_width, map->keys_width, &keys_count)) {
    return false;
  }
  // Each entry has a value and a type byte, so a count beyond the buffer is garbage.
  if (count != keys_count || count > (size - map->values) / (map->width + 1)) return false;
  map->count = (size_t)count;
  return map->count <= (size - map->keys) / map->keys_width;
}

bool oaq_flex_map_key(const OaqFlexMap* map, size_t index, const char** key) {
  size_t position = 0;
  if (index >= map->count ||
      !follow(map, map->keys + index * map->keys_width, map->keys_width, &position)) {
    return false;
  }
  *key = (const char*)map->data + position;
  return position < map->size && memchr(*key, 0, map->size - position) != NULL;
}

// Sign-extends the lowest `width` bytes.
static int64_t extend(uint64_t bits, size_t width) {
  const uint64_t sign = UINT64_C(1) << (8 * width - 1);
  return (int64_t)((bits ^ sign) - sign);
}

bool oaq_flex_map_value(const OaqFlexMap* map, size_t index, int64_t* value) {
  if (index >= map->count) return false;
  const uint8_t packed = map->data[map->values + map->count * map->width + index];
  size_t position = map->values + index * map->width;
  size_t width = map->width;
  int type = packed >> 2;
  if (type == kIndirectInt || type == kIndirectUint) {
    if (!follow(map, position, width, &position)) return false;
    width = (size_t)1 << (packed & 3);
    type = type == kIndirectInt ? kInt : kUint;
  }
  uint64_t bits = 0;
  if ((type != kInt && type != kUint) || !read_uint(map, position, width, &bits)) return false;
  if (type == kUint && bits > INT64_MAX) return false;
  *value = type == kInt ? extend(bits, width) : (int64_t)bits;
  return true;
}
