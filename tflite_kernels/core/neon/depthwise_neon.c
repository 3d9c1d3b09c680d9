// SPDX-License-Identifier: Apache-2.0
#include "core/neon/depthwise_family.h"

#ifdef __aarch64__
OAQ_DEFINE_DEPTHWISE(oaq_depthwise_neon, oaq_depthwise_codes_3x3_s1_neon,
                     oaq_depthwise_codes_3x3_s2_neon, oaq_depthwise_codes_5x5_s1_neon,
                     oaq_depthwise_codes_5x5_s2_neon);
#else
OAQ_DEFINE_DEPTHWISE(oaq_depthwise_neon, NULL, NULL, NULL, NULL);
#endif
