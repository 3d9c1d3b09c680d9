// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/cost_fit.h"

#include <string.h>

// cycles = step * steps + drain * drains, by least squares of the relative errors.
bool cost_fit(const BenchCases* cases, const Statistics* cycles, size_t first, CostFit* fit) {
  const char* table = cases->items[first].table;
  if (table[0] == 0) return false;
  for (size_t i = 0; i < first; ++i) {
    if (strcmp(cases->items[i].table, table) == 0) return false;
  }
  *fit = (CostFit){.table = table};
  double ss = 0, sd = 0, dd = 0, s = 0, d = 0;
  for (size_t i = first; i < cases->count; ++i) {
    const BenchCase* item = &cases->items[i];
    if (strcmp(item->table, table) != 0) continue;
    const double least = cycles[i].least;
    if (item->exact) {
      fit->exact_step = least / item->steps;
      continue;
    }
    const double steps = item->steps / least, drains = item->drains / least;
    ss += steps * steps;
    sd += steps * drains;
    dd += drains * drains;
    s += steps;
    d += drains;
  }
  const double determinant = ss * dd - sd * sd;
  if (determinant <= 1e-9 * ss * dd) return false;
  fit->int16_step = (s * dd - d * sd) / determinant;
  fit->int16_drain = (d * ss - s * sd) / determinant;
  return true;
}
