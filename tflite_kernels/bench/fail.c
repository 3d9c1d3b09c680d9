// SPDX-License-Identifier: Apache-2.0
#include "bench/fail.h"

#include <stdarg.h>
#include <stdio.h>

bool fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", fail_program);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return false;
}
