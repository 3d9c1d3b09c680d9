// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_BENCH_SHIELD_H_
#define OAQ_BENCH_SHIELD_H_

#include "tflite/abi.h"

// A delegate that claims nothing and keeps delegates after it from claiming anything: newer
// runtimes apply XNNPACK by themselves, and the C API has no switch for that.
TfLiteDelegate shield_delegate(void);

#endif  // OAQ_BENCH_SHIELD_H_
