// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "core/scalar/kernels_scalar.h"

enum { kChannels = 16 };

void oaq_depthwise_copy_scalar(size_t columns, const int8_t* in, size_t stride, int32_t shift,
                               void* out) {
  (void)shift;  // of a family whose activations are not shifted: 0
  for (size_t n = 0; n < columns; ++n) {
    memcpy((char*)out + n * kChannels, in + n * stride, kChannels);
  }
}
