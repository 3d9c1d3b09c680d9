// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_WINDOW_H_
#define OAQ_CORE_WINDOW_H_

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

// Schema values.
typedef enum OaqPadding { OAQ_PADDING_SAME = 0, OAQ_PADDING_VALID = 1 } OaqPadding;

// How a filter slides along one axis. All sizes are at least 1.
typedef struct OaqWindow {
  int32_t filter, stride, dilation;
  OaqPadding padding;
} OaqWindow;

// Output size along the axis for `input` elements and the padding before the first of them, as
// TFLite's ComputeOutSize and ComputePaddingWithOffset. An input smaller than a VALID window gives
// 0.
bool oaq_window_output(const OaqWindow* window, int32_t input, int32_t* output,
                       int32_t* padding_before, OaqError* error);

#endif  // OAQ_CORE_WINDOW_H_
