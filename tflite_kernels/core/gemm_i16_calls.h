// SPDX-License-Identifier: Apache-2.0
// Template: an int16 GEMM kernel out of multiply_i16(rows, whole, calls, drains, a, b, bias, acc),
// which takes a constant number of rows `calls` times, from one segment or from several. Include
// after OAQ_FOR_COUNTS, and skip_rows().
#ifndef OAQ_CORE_GEMM_I16_CALLS_H_
#define OAQ_CORE_GEMM_I16_CALLS_H_

#include "core/inline.h"
#include "core/kernels.h"

#define OAQ_DEFINE_I16(count)                                                                 \
  OAQ_NOINLINE void multiply_##count(size_t calls, const OaqDrains* drains, const OaqRows* a, \
                                     const int8_t* b, const int32_t* bias, int32_t* acc) {    \
    multiply_i16(count, true, calls, drains, a, b, bias, acc);                                \
  }                                                                                           \
  OAQ_NOINLINE void multiply_segments_##count(size_t calls, const OaqDrains* drains,          \
                                              const OaqRows* a, const int8_t* b,              \
                                              const int32_t* bias, int32_t* acc) {            \
    multiply_i16(count, false, calls, drains, a, b, bias, acc);                               \
  }

OAQ_FOR_COUNTS(OAQ_DEFINE_I16)

OAQ_INLINE void gemm_i16(size_t rows, const OaqDrains* drains, const OaqRows* a, const int8_t* b,
                         const int32_t* bias, int32_t* acc) {
  OaqRows from = *a;
#define OAQ_RUN(count)                                               \
  if (rows >= count) {                                               \
    const size_t calls = rows / count;                               \
    if (a->num_segments == 1) {                                      \
      multiply_##count(calls, drains, &from, b, bias, acc);          \
    } else {                                                         \
      multiply_segments_##count(calls, drains, &from, b, bias, acc); \
    }                                                                \
    skip_rows(count, calls, &from, &acc);                            \
    rows -= calls * count;                                           \
  }
  OAQ_FOR_COUNTS(OAQ_RUN)
#undef OAQ_RUN
}

#endif  // OAQ_CORE_GEMM_I16_CALLS_H_
