// SPDX-License-Identifier: Apache-2.0
#include "tflite/plan_json.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct Writer {
  char* buffer;
  size_t size, length;
} Writer;

static void put(Writer* writer, char byte) {
  if (writer->length + 1 < writer->size) writer->buffer[writer->length] = byte;
  ++writer->length;
}

// Text that needs no escapes and fits the local buffer.
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void put_text(Writer* writer, const char* format, ...) {
  char text[160];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  for (const char* c = text; *c != 0; ++c) put(writer, *c);
}

// Length of the well-formed UTF-8 sequence at `text`, 0 where there is none.
static size_t utf8_length(const unsigned char* text) {
  const unsigned char lead = text[0];
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((text[i] & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what lies beyond U+10FFFF.
  if ((lead == 0xE0 && text[1] < 0xA0) || (lead == 0xED && text[1] > 0x9F) ||
      (lead == 0xF0 && text[1] < 0x90) || (lead == 0xF4 && text[1] > 0x8F)) {
    return 0;
  }
  return length;
}

// Names come from the file: whatever they hold, the result is valid JSON in valid UTF-8.
static void put_string(Writer* writer, const char* string) {
  put(writer, '"');
  const unsigned char* text = (const unsigned char*)string;
  while (*text != 0) {
    const size_t length = utf8_length(text);
    if (length == 0) {
      put_text(writer, "\\ufffd");
      ++text;
    } else if (*text == '"' || *text == '\\') {
      put(writer, '\\');
      put(writer, (char)*text++);
    } else if (*text < 0x20 || *text == 0x7F) {
      put_text(writer, "\\u%04x", *text++);
    } else {
      for (size_t i = 0; i < length; ++i) put(writer, (char)*text++);
    }
  }
  put(writer, '"');
}

static const char* boolean(bool value) { return value ? "true" : "false"; }

// Fields of what sums nothing; the runtime's ops are known no better.
static void put_no_lanes(Writer* writer, const char* runs) {
  put_text(writer, ", \"runs\": \"%s\", \"isa\": null, \"layout\": null, \"depth\": null", runs);
  put_text(writer, ", \"never_drained\": null, \"drains\": null");
  put_text(writer, ", \"tile_channels\": null, \"tiles\": null, \"tiles_int16\": null");
}

static void put_range(Writer* writer, const OaqPlanEntry* entry) {
  put_text(writer, ", \"range\": [%d, %d], \"range_source\": \"%s\"", entry->range.lo,
           entry->range.hi, entry->checked ? "checked" : "graph");
}

static void put_layer(Writer* writer, const OaqPlanEntry* entry) {
  const OaqPlanSummary* summary = &entry->summary;
  const bool int16 = summary->tiles_int16 > 0;
  put_text(writer, ", \"runs\": \"%s\", \"isa\": \"%s\"", int16 ? "int16" : "exact", entry->isa);
  if (int16) {
    put_text(writer, ", \"layout\": \"%s\", \"depth\": %zu, \"never_drained\": %s, \"drains\": %zu",
             entry->layout->name, summary->depth, boolean(summary->never_drained), summary->drains);
  } else {
    put_text(writer, ", \"layout\": null, \"depth\": null, \"never_drained\": null, ");
    put_text(writer, "\"drains\": null");
  }
  put_text(writer, ", \"tile_channels\": %zu, \"tiles\": %zu, \"tiles_int16\": %zu, \"macs\": %llu",
           entry->layout->channels_per_tile, summary->tiles, summary->tiles_int16,
           (unsigned long long)entry->macs);
  put_range(writer, entry);
}

static void put_memory(Writer* writer, const OaqPlanEntry* entry) {
  if (entry->packed_bytes > 0) {
    put_text(writer, ", \"weights_bytes\": %zu, \"packed_bytes\": %zu", entry->weights_bytes,
             entry->packed_bytes);
  } else {
    put_text(writer, ", \"weights_bytes\": null, \"packed_bytes\": null");
  }
  if (entry->workers > 0) {
    put_text(writer, ", \"scratch_bytes\": %zu, \"workers\": %zu", entry->scratch_bytes,
             entry->workers);
  } else {
    put_text(writer, ", \"scratch_bytes\": null, \"workers\": null");
  }
}

static void put_profile(Writer* writer, const OaqPlanEntry* entry) {
  if (entry->claimed && entry->profiled) {
    put_text(writer, ", \"invocations\": %llu, \"nanoseconds\": %llu",
             (unsigned long long)entry->invocations, (unsigned long long)entry->nanoseconds);
  } else {
    put_text(writer, ", \"invocations\": null, \"nanoseconds\": null");
  }
}

static void put_entry(Writer* writer, const OaqPlanEntry* entry) {
  put_text(writer, "{\"subgraph\": %d, \"op\": %d, \"kind\": ", entry->subgraph, entry->node);
  put_string(writer, entry->kind);
  put_text(writer, ", \"name\": ");
  put_string(writer, entry->name != NULL ? entry->name : "");
  if (!entry->claimed) {
    put_no_lanes(writer, "stock");
    put_text(writer, ", \"macs\": null, \"range\": null, \"range_source\": null");
  } else if (entry->runs != NULL) {
    put_no_lanes(writer, entry->runs);
    put_text(writer, ", \"macs\": 0");
    put_range(writer, entry);
  } else {
    put_layer(writer, entry);
  }
  put_memory(writer, entry);
  put_profile(writer, entry);
  put_text(writer, ", \"reason\": ");
  put_string(writer, entry->reason);
  put(writer, '}');
}

size_t oaq_plan_json(const OaqPlanEntry* first, char* buffer, size_t size) {
  Writer writer = {buffer, buffer != NULL ? size : 0, 0};
  bool separate = false;
  put(&writer, '[');
  for (const OaqPlanEntry* entry = first; entry != NULL; entry = entry->next) {
    if (entry->outdated) continue;
    if (separate) put_text(&writer, ",\n ");
    put_entry(&writer, entry);
    separate = true;
  }
  put(&writer, ']');
  if (writer.size > 0) {
    writer.buffer[writer.length < writer.size ? writer.length : writer.size - 1] = 0;
  }
  return writer.length;
}
