// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool read_pairs(FILE* file, Table* table) {
  size_t kinds = 0;
  if (fscanf(file, "kinds %zu\n", &kinds) != 1 || kinds > kMaxKinds) return false;
  for (size_t i = 0; i < kinds; ++i) {
    if (fscanf(file, "%" SCNx32 "\n", &table->pairs[i]) != 1) return false;
  }
  return true;
}

static bool read_row(FILE* file, TableRow* row) {
  InOrderInstruction* found = &row->instruction;
  return fscanf(file,
                "%" SCNx32 " %" SCNu8 " %" SCNu8 " %" SCNu8 " %" SCNu8 " %" SCNx64 " %" SCNx64
                " %" SCNx64 " %" SCNx64 "\n",
                &row->code, &found->kind, &found->cycles, &found->latency, &found->forwards,
                &found->reads, &found->writes, &found->bases, &found->accumulates) == 9 &&
         found->kind < kMaxKinds;
}

static bool read_rows(FILE* file, Table* table) {
  if (fscanf(file, "rows %zu\n", &table->num_rows) != 1) return false;
  table->rows = calloc(table->num_rows + 1, sizeof(*table->rows));
  if (table->rows == NULL) return false;
  for (size_t i = 0; i < table->num_rows; ++i) {
    if (!read_row(file, &table->rows[i])) return false;
  }
  return true;
}

bool table_read(const char* path, Table* table) {
  *table = (Table){.rows = NULL};
  FILE* file = fopen(path, "r");
  if (file == NULL) return false;
  const bool read = read_pairs(file, table) && read_rows(file, table);
  fclose(file);
  return read;
}

static int compare(const void* code, const void* row) {
  const uint32_t a = *(const uint32_t*)code, b = ((const TableRow*)row)->code;
  return (a > b) - (a < b);
}

const InOrderInstruction* table_find(const Table* table, uint32_t code) {
  const TableRow* row = bsearch(&code, table->rows, table->num_rows, sizeof(*row), compare);
  return row != NULL ? &row->instruction : NULL;
}
