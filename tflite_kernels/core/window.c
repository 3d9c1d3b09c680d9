// SPDX-License-Identifier: Apache-2.0
#include "core/window.h"

bool oaq_window_output(const OaqWindow* window, int32_t input, int32_t* output,
                       int32_t* padding_before, OaqError* error) {
  if (input < 0) return oaq_fail(error, "an input dimension is %d, expected 0 or more", input);
  const int64_t effective = ((int64_t)window->filter - 1) * window->dilation + 1;
  const int64_t covered = window->padding == OAQ_PADDING_SAME
                              ? input + (int64_t)window->stride - 1
                              : input + (int64_t)window->stride - effective;
  const int64_t count = covered > 0 ? covered / window->stride : 0;
  const int64_t total = (count - 1) * window->stride + effective - input;
  const int64_t before = count > 0 && total > 0 ? total / 2 : 0;
  if (count > INT32_MAX || before > INT32_MAX) {
    return oaq_fail(error, "filter %d with dilation %d and stride %d over %d elements is too large",
                    window->filter, window->dilation, window->stride, input);
  }
  *output = (int32_t)count;
  *padding_before = (int32_t)before;
  return true;
}
