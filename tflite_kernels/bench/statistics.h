// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_STATISTICS_H_
#define OAQ_BENCH_STATISTICS_H_

#include <stdbool.h>
#include <stddef.h>

typedef struct Statistics {
  double least, lower_quartile, median, upper_quartile;
} Statistics;

// Of samples[count], count at least 1, in any order; sorts them. Quartiles between two samples are
// interpolated, as numpy.percentile does.
Statistics statistics_of(double* samples, size_t count);

#endif  // OAQ_BENCH_STATISTICS_H_
