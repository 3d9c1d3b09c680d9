// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_CORE_ADD_H_
#define OAQ_CORE_ADD_H_

#include "core/kernels.h"
#include "core/output_stage.h"
#include "core/threads.h"

// ADD of two int8 tensors of one shape, to the bit as TFLite's reference kernel: each code less its
// zero point, times 2^20, is scaled to the sum's scale, twice the larger one of the inputs; the sum
// is scaled to the output's.
typedef struct OaqAddParams {
  double scales[2];
  int32_t zero_points[2];
  double output_scale;
  int32_t output_zero_point;
  int32_t lo, hi;  // limits of the output codes
} OaqAddParams;

typedef struct OaqAdd {
  OaqAddInput inputs[2];
  const OaqKernels* kernels;
  OaqThreads* threads;
  OaqMultiplier*
      multipliers;  // the output's, for as many channels as the output stage takes at once
  OaqOutputStage stage;
} OaqAdd;

// False where a scale or zero point is none that TFLite's ADD takes, or memory is out; nothing is
// left to free then.
bool oaq_add_create(const OaqAddParams* params, const OaqKernels* kernels, OaqThreads* threads,
                    OaqAdd* op, OaqError* error);
void oaq_add_free(OaqAdd* op);

// out[i] = code of a[i] + b[i]; `out` may be one of the inputs.
void oaq_add_run(const OaqAdd* op, size_t count, const int8_t* a, const int8_t* b, int8_t* out);

#endif  // OAQ_CORE_ADD_H_
