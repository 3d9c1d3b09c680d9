// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_OAQ_TFLITE_H_
#define OAQ_OAQ_TFLITE_H_

#include <stddef.h>

// int8 CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV for TensorFlow Lite and
// LiteRT that add up in int16 lanes wherever a proof over the file's codes says that no input can
// overflow them (overflow aware quantization, arXiv 2005.13297). Results equal TensorFlow Lite's
// reference kernels to the bit. Custom ops: OaqConv2D, OaqDepthwiseConv2D, OaqFullyConnected,
// OaqTransposeConv (docs/format.md).
//
// A delegate belongs to one interpreter and must outlive it. Nothing here keeps global state; calls
// on different objects may run at the same time.

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define OAQ_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define OAQ_EXPORT __attribute__((visibility("default")))
#else
#define OAQ_EXPORT
#endif

// TensorFlow Lite's own types, lite/core/c/common.h.
typedef struct TfLiteRegistration TfLiteRegistration;
typedef struct TfLiteDelegate TfLiteDelegate;

// "major.minor.patch" of this library.
OAQ_EXPORT const char* oaq_version(void);

// Registrations for MutableOpResolver::AddCustom("OaqConv2D", oaq_register_conv_2d()) or
// TfLiteInterpreterOptionsAddCustomOp. An op registered so does not see the graph: it checks the
// activation range claimed in its options at each invocation, and runs exact where an input leaves
// it. Prefer the delegate. The pointers stay valid for as long as the library is loaded.
OAQ_EXPORT const TfLiteRegistration* oaq_register_conv_2d(void);
OAQ_EXPORT const TfLiteRegistration* oaq_register_depthwise_conv_2d(void);
OAQ_EXPORT const TfLiteRegistration* oaq_register_fully_connected(void);
OAQ_EXPORT const TfLiteRegistration* oaq_register_transpose_conv(void);

typedef enum OaqPlanMode {
  OAQ_PLAN_AUTO = 0,   // per tile of output channels, the cheaper of the two
  OAQ_PLAN_INT16 = 1,  // int16 wherever it is proven
  OAQ_PLAN_EXACT = 2,  // int32 throughout
} OaqPlanMode;

typedef struct OaqDelegateOptions {
  int builtin;      // 1: claim builtin int8 ops and QUANTIZE too, not only Oaq ops
  const char* isa;  // kernels to use: "auto" (best for this CPU), "scalar", ... (docs/format.md)
  OaqPlanMode plan;
  int num_threads;  // at least 1
  int profile;      // 1: the plan counts and times invocations
} OaqDelegateOptions;

// 0, "auto", OAQ_PLAN_AUTO, 1, 0.
OAQ_EXPORT OaqDelegateOptions oaq_delegate_options_default(void);

// NULL options: the defaults. NULL where an option is not valid or memory is out.
OAQ_EXPORT TfLiteDelegate* oaq_delegate_create(const OaqDelegateOptions* options);
OAQ_EXPORT void oaq_delegate_destroy(TfLiteDelegate* delegate);

// What load_delegate and TfLiteExternalDelegateCreate call: options as text, docs/format.md. On an
// error calls report_error (may be NULL) and returns NULL.
OAQ_EXPORT TfLiteDelegate* tflite_plugin_create_delegate(char** options_keys, char** options_values,
                                                         size_t num_options,
                                                         void (*report_error)(const char*));
OAQ_EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate);

// The plan for every node that the delegate saw, as JSON (docs/format.md), UTF-8 and terminated by
// a NUL; as much of it as fits `size` bytes of `buffer` (NULL where size is 0). Returns the length
// of the whole text without its NUL, as snprintf does. Not while the interpreter runs.
OAQ_EXPORT size_t oaq_delegate_plan_json(const TfLiteDelegate* delegate, char* buffer, size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // OAQ_OAQ_TFLITE_H_
