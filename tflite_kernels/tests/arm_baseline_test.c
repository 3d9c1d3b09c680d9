// SPDX-License-Identifier: Apache-2.0
#include "bench/baseline/baseline_arm.h"
#include "test.h"
#ifdef __aarch64__
#include "core/arm/cpu.h"
#endif

// What the loops for ARM are compared with does sum products: else a comparison says nothing.

enum { kMostProducts = 64, kMostRows = 8 };

typedef struct Case {
  int8_t a[kMostRows * kMostProducts], b[kMostRows * kMostProducts];  // a row each
  int32_t bias[kMostRows];
} Case;

static void make(Case* made) {
  Random random = {5};
  random_codes(&random, -128, 127, made->a, sizeof(made->a));
  random_codes(&random, -127, 127, made->b, sizeof(made->b));
  for (size_t n = 0; n < kMostRows; ++n) made->bias[n] = random_int(&random, -1000, 1000);
}

static void check(const Case* made, size_t rows, size_t channels, const int32_t* acc) {
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < channels; ++n) {
      int32_t sum = made->bias[n];
      for (size_t k = 0; k < kMostProducts; ++k) {
        sum += made->a[m * kMostProducts + k] * made->b[n * kMostProducts + k];
      }
      CHECK(acc[m * channels + n] == sum);
    }
  }
}

// [products / length][rows][length] of [rows][products].
static void pack(const int8_t* codes, size_t rows, size_t length, int8_t* packed) {
  for (size_t k = 0; k < kMostProducts; ++k) {
    for (size_t m = 0; m < rows; ++m) {
      packed[(k / length * rows + m) * length + k % length] = codes[m * kMostProducts + k];
    }
  }
}

int main(void) {
  static Case made;
  make(&made);
  int8_t b[kMostRows * kMostProducts];
  int32_t acc[kMostRows * kMostRows];
#ifdef __aarch64__
  if (!oaq_arm().dotprod) return 0;
  int8_t a[kMostRows * kMostProducts];
  pack(made.a, 8, 4, a);
  pack(made.b, 8, 4, b);
  baseline_gemm_8x8_dotprod(kMostProducts / 4, a, b, made.bias, acc);
  check(&made, 8, 8, acc);
#else
  pack(made.b, 4, 16, b);
  baseline_gemm_2x4_c8_neon(kMostProducts / 8, made.a, kMostProducts, b, made.bias, acc);
  check(&made, 2, 4, acc);
#endif
  return 0;
}
