// SPDX-License-Identifier: Apache-2.0
// The table that core_table.py writes: what pairs, and each instruction by its code.
#ifndef OAQ_BENCH_QEMU_TABLE_H_
#define OAQ_BENCH_QEMU_TABLE_H_

#include <stdbool.h>
#include <stddef.h>

#include "in_order.h"

typedef struct {
  uint32_t code;
  InOrderInstruction instruction;
} TableRow;

typedef struct {
  uint32_t pairs[kMaxKinds + 1];
  TableRow* rows;  // By code, rising.
  size_t num_rows;
} Table;

// False where the file can't be read or is none.
bool table_read(const char* path, Table* table);
// NULL where it has no such code.
const InOrderInstruction* table_find(const Table* table, uint32_t code);

#endif  // OAQ_BENCH_QEMU_TABLE_H_
