// SPDX-License-Identifier: Apache-2.0
#include "core/neon/depthwise_codes.h"

OAQ_DEFINE_CODES(5, 1)
OAQ_DEFINE_CODES(5, 2)
