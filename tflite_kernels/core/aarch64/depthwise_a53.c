// SPDX-License-Identifier: Apache-2.0
#include "core/aarch64/kernels_aarch64.h"
#include "core/neon/depthwise_family.h"

OAQ_DEFINE_DEPTHWISE(oaq_depthwise_a53, oaq_depthwise_codes_3x3_s1_a53,
                     oaq_depthwise_codes_3x3_s2_a53, oaq_depthwise_codes_5x5_s1_neon,
                     oaq_depthwise_codes_5x5_s2_neon);
