// SPDX-License-Identifier: Apache-2.0
#include "core/overflows.h"

#include <stddef.h>

void oaq_overflows_add(OaqOverflows* overflows, const OaqTally* tally) {
  if (overflows == NULL) return;
  atomic_fetch_add(&overflows->drains, tally->drains);
  atomic_fetch_add(&overflows->overflows, tally->overflows);
  int64_t seen = atomic_load(&overflows->smallest);
  while (tally->smallest < seen &&
         !atomic_compare_exchange_weak(&overflows->smallest, &seen, tally->smallest)) {
  }
  seen = atomic_load(&overflows->largest);
  while (tally->largest > seen &&
         !atomic_compare_exchange_weak(&overflows->largest, &seen, tally->largest)) {
  }
}
