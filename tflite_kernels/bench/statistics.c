// SPDX-License-Identifier: Apache-2.0
#include "bench/statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void* left, const void* right) {
  const double a = *(const double*)left, b = *(const double*)right;
  return (a > b) - (a < b);
}

static double quantile(const double* sorted, size_t count, double share) {
  const double place = share * (double)(count - 1);
  const size_t below = (size_t)floor(place);
  const size_t above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

Statistics statistics_of(double* samples, size_t count) {
  qsort(samples, count, sizeof(*samples), compare);
  return (Statistics){.least = samples[0],
                      .lower_quartile = quantile(samples, count, 0.25),
                      .median = quantile(samples, count, 0.5),
                      .upper_quartile = quantile(samples, count, 0.75)};
}
