// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

bool oaq_fail(OaqError* error, const char* format, ...) {
  if (error != NULL) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
  }
  return false;
}
