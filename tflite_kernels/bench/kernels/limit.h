// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_KERNELS_LIMIT_H_
#define OAQ_BENCH_KERNELS_LIMIT_H_

// The least cycles that vector instructions can take, by the ports of Intel's cores since Ice Lake:
// of 128 or 256 bits three a cycle, of which two multiply, two shuffle and one shuffles across 128
// bits or widens to 256; of 512 bits two a cycle, which multiply both, and one shuffles. Loads,
// stores, copies of registers and what else the front end sees are taken to fit beside them.
typedef struct VectorWork {
  double multiplies;
  double shuffles;  // within 128 bits
  double crossing;  // shuffles across them
  double others;    // additions, shifts, logic
} VectorWork;

static inline double limit_cycles(int bits, const VectorWork* work) {
  const double shuffles = work->shuffles + work->crossing;
  const double all = work->multiplies + shuffles + work->others;
  double cycles = bits == 512 ? all / 2 : all / 3;
  const double least[] = {work->multiplies / 2, bits == 512 ? shuffles : shuffles / 2,
                          work->crossing};
  for (int i = 0; i < 3; ++i) cycles = cycles < least[i] ? least[i] : cycles;
  return cycles;
}

#endif  // OAQ_BENCH_KERNELS_LIMIT_H_
