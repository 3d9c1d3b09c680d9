// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TESTS_ABI_FIELDS_H_
#define OAQ_TESTS_ABI_FIELDS_H_

#include <stddef.h>

typedef struct Field {
  const char* name;
  size_t offset, size;
} Field;

typedef struct Value {
  const char* name;
  int value;
} Value;

// Expands to the same list whichever header declared the structs.
#define ABI_FIELD(type, field) {#type "." #field, offsetof(type, field), sizeof(((type*)0)->field)}

#define ABI_FIELDS                                                                                 \
  ABI_FIELD(TfLiteIntArray, size), {"TfLiteIntArray.data", offsetof(TfLiteIntArray, data), 0},     \
      {"TfLiteFloatArray.data", offsetof(TfLiteFloatArray, data), 0},                              \
      ABI_FIELD(TfLiteQuantizationParams, scale), ABI_FIELD(TfLiteQuantizationParams, zero_point), \
      ABI_FIELD(TfLiteQuantization, type), ABI_FIELD(TfLiteQuantization, params),                  \
      ABI_FIELD(TfLiteAffineQuantization, scale), ABI_FIELD(TfLiteAffineQuantization, zero_point), \
      ABI_FIELD(TfLiteAffineQuantization, quantized_dimension), ABI_FIELD(TfLiteTensor, type),     \
      ABI_FIELD(TfLiteTensor, data), ABI_FIELD(TfLiteTensor, dims),                                \
      ABI_FIELD(TfLiteTensor, params), ABI_FIELD(TfLiteTensor, allocation_type),                   \
      ABI_FIELD(TfLiteTensor, bytes), ABI_FIELD(TfLiteTensor, allocation),                         \
      ABI_FIELD(TfLiteTensor, name), ABI_FIELD(TfLiteTensor, delegate),                            \
      ABI_FIELD(TfLiteTensor, buffer_handle), ABI_FIELD(TfLiteTensor, data_is_stale),              \
      ABI_FIELD(TfLiteTensor, is_variable), ABI_FIELD(TfLiteTensor, quantization),                 \
      ABI_FIELD(TfLiteTensor, sparsity), ABI_FIELD(TfLiteTensor, dims_signature),                  \
      {"TfLiteTensor", 0, sizeof(TfLiteTensor)}, ABI_FIELD(TfLiteNode, inputs),                    \
      ABI_FIELD(TfLiteNode, outputs), ABI_FIELD(TfLiteNode, intermediates),                        \
      ABI_FIELD(TfLiteNode, temporaries), ABI_FIELD(TfLiteNode, user_data),                        \
      ABI_FIELD(TfLiteNode, builtin_data), ABI_FIELD(TfLiteNode, custom_initial_data),             \
      ABI_FIELD(TfLiteNode, custom_initial_data_size), ABI_FIELD(TfLiteNode, delegate),            \
      ABI_FIELD(TfLiteNode, might_have_side_effect), ABI_FIELD(TfLiteRegistration, init),          \
      ABI_FIELD(TfLiteRegistration, free), ABI_FIELD(TfLiteRegistration, prepare),                 \
      ABI_FIELD(TfLiteRegistration, invoke), ABI_FIELD(TfLiteRegistration, profiling_string),      \
      ABI_FIELD(TfLiteRegistration, builtin_code), ABI_FIELD(TfLiteRegistration, custom_name),     \
      ABI_FIELD(TfLiteRegistration, version), ABI_FIELD(TfLiteContext, tensors_size),              \
      ABI_FIELD(TfLiteContext, GetExecutionPlan), ABI_FIELD(TfLiteContext, tensors),               \
      ABI_FIELD(TfLiteContext, impl_), ABI_FIELD(TfLiteContext, ResizeTensor),                     \
      ABI_FIELD(TfLiteContext, ReportError), ABI_FIELD(TfLiteContext, AddTensors),                 \
      ABI_FIELD(TfLiteContext, GetNodeAndRegistration), ABI_FIELD(TfLiteDelegate, data_),          \
      ABI_FIELD(TfLiteDelegate, Prepare), ABI_FIELD(TfLiteDelegate, CopyFromBufferHandle),         \
      ABI_FIELD(TfLiteDelegate, CopyToBufferHandle), ABI_FIELD(TfLiteDelegate, FreeBufferHandle),  \
      ABI_FIELD(TfLiteDelegate, flags)

#define ABI_VALUE(name) {#name, (int)(name)}

#define ABI_VALUES                                                                                \
  ABI_VALUE(kTfLiteOk), ABI_VALUE(kTfLiteError), ABI_VALUE(kTfLiteInt8), ABI_VALUE(kTfLiteUInt8), \
      ABI_VALUE(kTfLiteInt32), ABI_VALUE(kTfLiteMmapRo), ABI_VALUE(kTfLiteAffineQuantization),    \
      ABI_VALUE(kTfLiteDelegateFlagsAllowDynamicTensors), ABI_VALUE(kTfLiteOptionalTensor)

extern const Field abi_official_fields[];
extern const Value abi_official_values[];
extern const size_t abi_official_registration_size;
extern const size_t abi_official_delegate_size;

#endif  // OAQ_TESTS_ABI_FIELDS_H_
