// SPDX-License-Identifier: Apache-2.0
#include "tflite/delegate.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "allocator.h"
#include "test.h"
#include "tflite/ranges.h"
#ifdef OAQ_TEST_THREADS
#include <pthread.h>
#endif

// A runtime of one node, convolution or other, that the delegate can be let loose on: every tensor
// can be damaged first. tests/test_kernels_vs_reference.py has the real runtimes.

enum { kInput, kWeights, kBias, kOutput, kNumTensors };

typedef struct Ints {
  int size;
  int data[4];
} Ints;

typedef struct Floats {
  int size;
  float data[4];
} Floats;

typedef struct Fake {
  TfLiteContext context;
  TfLiteTensor tensors[kNumTensors];
  Ints dims[kNumTensors];
  Floats scales[kNumTensors];
  Ints zero_points[kNumTensors];
  TfLiteAffineQuantization affine[kNumTensors];
  Ints inputs, outputs, plan;
  TfLiteNode node;
  TfLiteRegistration registration;
  TfLiteConvParams conv;
  int8_t input[256], weights[1024], output[2 * 4 * 4 * 4];
  int32_t bias[4];
  char message[512];
  int reports;
} Fake;

static void report_error(TfLiteContext* context, const char* format, ...) {
  Fake* fake = context->impl_;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fake->message, sizeof(fake->message), format, arguments);
  va_end(arguments);
  ++fake->reports;
}

static TfLiteStatus get_execution_plan(TfLiteContext* context, TfLiteIntArray** plan) {
  *plan = (TfLiteIntArray*)(void*)&((Fake*)context->impl_)->plan;
  return kTfLiteOk;
}

static TfLiteStatus get_node(TfLiteContext* context, int index, TfLiteNode** node,
                             TfLiteRegistration** registration) {
  Fake* fake = context->impl_;
  *node = &fake->node;
  *registration = &fake->registration;
  return index == 0 ? kTfLiteOk : kTfLiteError;
}

static TfLiteStatus resize_tensor(TfLiteContext* context, TfLiteTensor* tensor,
                                  TfLiteIntArray* dims) {
  Fake* fake = context->impl_;
  size_t count = 0;
  const bool fits = oaq_count_elements(dims, &count) && count <= sizeof(fake->output);
  memcpy(tensor->dims->data, dims->data, (size_t)dims->size * sizeof(int));
  tensor->bytes = count;
  free(dims);
  return fits ? kTfLiteOk : kTfLiteError;
}

static void set_tensor(Fake* fake, int index, const char* name, TfLiteType type, const Ints* dims,
                       void* data, size_t bytes, bool constant) {
  fake->dims[index] = *dims;
  fake->scales[index] = (Floats){1, {0.5f}};
  fake->zero_points[index] = (Ints){1, {0}};
  fake->affine[index] =
      (TfLiteAffineQuantization){(TfLiteFloatArray*)(void*)&fake->scales[index],
                                 (TfLiteIntArray*)(void*)&fake->zero_points[index], 0};
  fake->tensors[index] =
      (TfLiteTensor){.type = type,
                     .data = {data},
                     .dims = (TfLiteIntArray*)(void*)&fake->dims[index],
                     .params = {0.5f, 0},
                     .allocation_type = constant ? kTfLiteMmapRo : (TfLiteAllocationType)2,
                     .bytes = bytes,
                     .name = name,
                     .quantization = {kTfLiteAffineQuantization, &fake->affine[index]}};
}

static void make(Fake* fake) {
  memset(fake, 0, sizeof(*fake));
  Random random = {6};
  random_codes(&random, -128, 127, fake->input, sizeof(fake->input));
  random_codes(&random, -128, 127, fake->weights, sizeof(fake->weights));
  fake->context = (TfLiteContext){.tensors_size = kNumTensors,
                                  .GetExecutionPlan = get_execution_plan,
                                  .tensors = fake->tensors,
                                  .impl_ = fake,
                                  .ResizeTensor = resize_tensor,
                                  .ReportError = report_error,
                                  .GetNodeAndRegistration = get_node};
  set_tensor(fake, kInput, "the input", kTfLiteInt8, &(Ints){4, {2, 4, 4, 3}}, fake->input,
             sizeof(fake->input), false);
  set_tensor(fake, kWeights, "the weights", kTfLiteInt8, &(Ints){4, {4, 2, 2, 3}}, fake->weights,
             sizeof(fake->weights), true);
  set_tensor(fake, kBias, "the bias", kTfLiteInt32, &(Ints){1, {4}}, fake->bias, sizeof(fake->bias),
             true);
  set_tensor(fake, kOutput, "the output", kTfLiteInt8, &(Ints){4, {2, 4, 4, 4}}, fake->output,
             sizeof(fake->output), false);
  fake->inputs = (Ints){3, {kInput, kWeights, kBias}};
  fake->outputs = (Ints){1, {kOutput}};
  fake->plan = (Ints){1, {0}};
  fake->conv = (TfLiteConvParams){kTfLitePaddingSame, 1, 1, 0, 1, 1};
  fake->node.inputs = (TfLiteIntArray*)(void*)&fake->inputs;
  fake->node.outputs = (TfLiteIntArray*)(void*)&fake->outputs;
  fake->node.builtin_data = &fake->conv;
  fake->registration.builtin_code = kBuiltinConv2d;
}

static char* plan_of(const TfLiteDelegate* delegate) {
  const size_t length = oaq_delegate_plan_json(delegate, NULL, 0);
  char* text = test_alloc(length + 1, 1);
  CHECK(oaq_delegate_plan_json(delegate, text, length + 1) == length);
  CHECK(strlen(text) == length);
  return text;
}

// Runs the delegate over the fake; returns whether it claimed the node.
static bool delegate_to(Fake* fake, const char* reason) {
  const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 1};
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  CHECK(delegate != NULL);
  CHECK(delegate->Prepare(&fake->context, delegate) == kTfLiteOk);
  char* plan = plan_of(delegate);
  if (strstr(plan, reason) == NULL) fprintf(stderr, "expected '%s' in %s\n", reason, plan);
  CHECK(strstr(plan, reason) != NULL);
  const bool claimed = fake->registration.invoke != NULL;
  if (claimed) {
    // Applied again, as runtimes do after a resize.
    void* kernel = fake->node.user_data;
    CHECK(delegate->Prepare(&fake->context, delegate) == kTfLiteOk);
    CHECK(fake->node.user_data == kernel);
    char* again = plan_of(delegate);
    CHECK(strcmp(again, plan) == 0);
    free(again);
    CHECK(fake->registration.prepare(&fake->context, &fake->node) == kTfLiteOk);
    CHECK(fake->registration.invoke(&fake->context, &fake->node) == kTfLiteOk);
    fake->registration.free(&fake->context, kernel);
  }
  free(plan);
  oaq_delegate_destroy(delegate);
  return claimed;
}

#define EXPECT_LEFT(reason, change)     \
  do {                                  \
    make(&fake);                        \
    change;                             \
    CHECK(!delegate_to(&fake, reason)); \
  } while (0)

static void test_what_is_left_to_the_runtime(void) {
  Fake fake;
  make(&fake);
  CHECK(delegate_to(&fake, "\"runs\": "));
  make(&fake);
  fake.inputs.size = 2;
  CHECK(delegate_to(&fake, "\"runs\": "));
  make(&fake);
  fake.inputs.data[2] = -1;
  CHECK(delegate_to(&fake, "\"runs\": "));
  // Runtimes keep one zero point where all channels share it.
  make(&fake);
  fake.scales[kWeights] = (Floats){4, {0.5f, 0.25f, 1.0f, 0.125f}};
  CHECK(delegate_to(&fake, "\"runs\": "));
  EXPECT_LEFT("tensor 'the input' is uint8", fake.tensors[kInput].type = kTfLiteUInt8);
  EXPECT_LEFT("tensor 'the weights' is int4", fake.tensors[kWeights].type = kTfLiteInt4);
  EXPECT_LEFT("tensor 'the bias' is int64", fake.tensors[kBias].type = kTfLiteInt64);
  EXPECT_LEFT("not constant", fake.tensors[kWeights].allocation_type = (TfLiteAllocationType)2);
  EXPECT_LEFT("not constant", fake.tensors[kBias].data.raw = NULL);
  EXPECT_LEFT("is sparse", fake.tensors[kWeights].sparsity = &fake);
  EXPECT_LEFT("fewer than its shape", fake.tensors[kWeights].bytes = 47);
  EXPECT_LEFT("fewer than its shape", fake.dims[kWeights].data[0] = INT32_MAX);
  EXPECT_LEFT("fewer than its shape", fake.dims[kWeights].data[0] = -4);
  EXPECT_LEFT("dimension 1 of 0", fake.dims[kWeights].data[1] = 0);
  EXPECT_LEFT("3 dimensions", fake.dims[kWeights].size = 3);
  EXPECT_LEFT("zero point 1", fake.zero_points[kWeights].data[0] = 1);
  EXPECT_LEFT("scale nan", fake.scales[kWeights].data[0] = NAN);
  EXPECT_LEFT("scale -0.5", fake.scales[kWeights].data[0] = -0.5f);
  EXPECT_LEFT("scale inf", fake.tensors[kInput].params.scale = INFINITY);
  EXPECT_LEFT("scale 0", fake.tensors[kOutput].params.scale = 0);
  EXPECT_LEFT("multiplier", fake.tensors[kOutput].params.scale = 1e-30f);
  EXPECT_LEFT("zero point 300", fake.tensors[kInput].params.zero_point = 300);
  EXPECT_LEFT("3 scales", fake.scales[kWeights].size = 3);
  EXPECT_LEFT("not quantized", fake.tensors[kWeights].quantization.params = NULL);
  EXPECT_LEFT("not quantized", fake.affine[kWeights].scale = NULL);
  EXPECT_LEFT("along dimension 3", fake.scales[kWeights].size = 4;
              fake.affine[kWeights].quantized_dimension = 3);
  EXPECT_LEFT("bias 'the bias' has 3", fake.dims[kBias].data[0] = 3);
  EXPECT_LEFT("not in the model", fake.inputs.data[0] = 99);
  EXPECT_LEFT("tensor of its own", fake.outputs.data[0] = kInput);
  EXPECT_LEFT("tensor of its own", fake.tensors[kOutput].allocation_type = kTfLiteMmapRo);
  EXPECT_LEFT("2 outputs", fake.outputs = ((Ints){2, {kOutput, kOutput}}));
  EXPECT_LEFT("fused activation 4", fake.conv.activation = 4);
  EXPECT_LEFT("padding 0", fake.conv.padding = 0);
  EXPECT_LEFT("strides 0", fake.conv.stride_height = 0);
  EXPECT_LEFT("no options", fake.node.builtin_data = NULL);
  EXPECT_LEFT("weights take 3", fake.dims[kInput].data[3] = 5);
  EXPECT_LEFT("1 dimensions", fake.dims[kInput].size = 1);
  EXPECT_LEFT("not an op of this library", fake.registration.builtin_code = kBuiltinAdd);
}

static void make_quantize(Fake* fake) {
  make(fake);
  fake->inputs = (Ints){1, {kInput}};
  fake->node.builtin_data = NULL;
  fake->registration.builtin_code = kBuiltinQuantize;
  fake->tensors[kInput].type = kTfLiteUInt8;
  fake->tensors[kInput].params.zero_point = 128;
}

#define EXPECT_QUANTIZE_LEFT(reason, change) \
  do {                                       \
    make_quantize(&fake);                    \
    change;                                  \
    CHECK(!delegate_to(&fake, reason));      \
  } while (0)

static void test_quantize(void) {
  Fake fake;
  make_quantize(&fake);
  CHECK(delegate_to(&fake,
                    "\"runs\": \"table\", \"isa\": null, \"layout\": null, \"depth\": null, "
                    "\"never_drained\": null, \"drains\": null, \"tile_channels\": null, "
                    "\"tiles\": null, \"tiles_int16\": null, \"macs\": 0, \"range\": [0, 255], "
                    "\"range_source\": \"graph\", \"weights_bytes\": 0, \"packed_bytes\": "));
  make_quantize(&fake);
  CHECK(delegate_to(&fake,
                    "\"scratch_bytes\": null, \"workers\": null, \"invocations\": null, "
                    "\"nanoseconds\": null, \"reason\": \"top bits of the codes flipped\""));
  CHECK(fake.dims[kOutput].data[3] == 3 && fake.tensors[kOutput].bytes == 96);
  for (size_t i = 0; i < 96; ++i) CHECK((fake.output[i] ^ fake.input[i]) == -128);
  make_quantize(&fake);
  fake.tensors[kInput].params.zero_point = 127;
  CHECK(delegate_to(&fake, "\"reason\": \"codes by table\""));
  make_quantize(&fake);
  fake.tensors[kInput] = fake.tensors[kOutput];
  fake.tensors[kInput].dims = (TfLiteIntArray*)(void*)&fake.dims[kInput];
  fake.tensors[kInput].data.int8 = fake.input;
  CHECK(delegate_to(&fake, "\"reason\": \"codes stay as they are\""));
  CHECK(memcmp(fake.output, fake.input, 96) == 0);
  EXPECT_QUANTIZE_LEFT("'the input' is float32, expected int8 or uint8",
                       fake.tensors[kInput].type = kTfLiteFloat32);
  EXPECT_QUANTIZE_LEFT("'the output' is int16, expected int8 or uint8",
                       fake.tensors[kOutput].type = kTfLiteInt16);
  EXPECT_QUANTIZE_LEFT("'the input' is sparse", fake.tensors[kInput].sparsity = &fake);
  EXPECT_QUANTIZE_LEFT("scale 0", fake.tensors[kOutput].params.scale = 0);
  EXPECT_QUANTIZE_LEFT("scale nan", fake.tensors[kInput].params.scale = NAN);
  EXPECT_QUANTIZE_LEFT("scale 0.5", fake.tensors[kInput].quantization.type = kTfLiteNoQuantization);
  EXPECT_QUANTIZE_LEFT("zero point 256, expected 0 to 255",
                       fake.tensors[kInput].params.zero_point = 256);
  EXPECT_QUANTIZE_LEFT("zero point 128, expected -128 to 127",
                       fake.tensors[kOutput].params.zero_point = 128);
  EXPECT_QUANTIZE_LEFT("expected less than 2^23", fake.tensors[kInput].params.scale = 1 << 22);
  EXPECT_QUANTIZE_LEFT("expected less than 2^30", fake.tensors[kInput].params.scale = 1e20f);
  EXPECT_QUANTIZE_LEFT("3 inputs and 1 outputs", fake.inputs.size = 3);
  EXPECT_QUANTIZE_LEFT("1 inputs and 0 outputs", fake.outputs.size = 0);
  EXPECT_QUANTIZE_LEFT("not in the model", fake.inputs.data[0] = 99);
  EXPECT_QUANTIZE_LEFT("not in the model", fake.outputs.data[0] = -1);
  EXPECT_QUANTIZE_LEFT("tensor of its own", fake.outputs.data[0] = kInput);
  EXPECT_QUANTIZE_LEFT("tensor of its own", fake.tensors[kOutput].allocation_type = kTfLiteMmapRo);
}

static void make_leaky_relu(Fake* fake, TfLiteLeakyReluParams* params) {
  make_quantize(fake);
  fake->registration.builtin_code = kBuiltinLeakyRelu;
  fake->tensors[kInput].type = kTfLiteInt8;
  fake->tensors[kInput].params.zero_point = 0;
  fake->tensors[kOutput].params = fake->tensors[kInput].params;
  params->alpha = 0.5f;
  fake->node.builtin_data = params;
}

#define EXPECT_LEAKY_RELU_LEFT(reason, change) \
  do {                                         \
    make_leaky_relu(&fake, &params);           \
    change;                                    \
    CHECK(!delegate_to(&fake, reason));        \
  } while (0)

static void test_leaky_relu(void) {
  Fake fake;
  TfLiteLeakyReluParams params;
  make_leaky_relu(&fake, &params);
  CHECK(delegate_to(&fake, "\"reason\": \"codes by table\""));
  for (size_t i = 0; i < 96; ++i) {
    const int code = fake.input[i];
    // Halves up.
    CHECK(fake.output[i] == (code < 0 ? code / 2 : code));
  }
  EXPECT_LEAKY_RELU_LEFT("no options", fake.node.builtin_data = NULL);
  EXPECT_LEAKY_RELU_LEFT("alpha -1, expected 0 or more", params.alpha = -1);
  EXPECT_LEAKY_RELU_LEFT("alpha nan", params.alpha = NAN);
  EXPECT_LEAKY_RELU_LEFT("multiplier inf", params.alpha = INFINITY);
  EXPECT_LEAKY_RELU_LEFT("of two types", fake.tensors[kOutput].type = kTfLiteUInt8);
  EXPECT_LEAKY_RELU_LEFT("is float32", fake.tensors[kInput].type = kTfLiteFloat32);
}

static void test_quantize_that_changes_shape(void) {
  Fake fake;
  make_quantize(&fake);
  const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 2};
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteOk);
  CHECK(fake.registration.builtin_code == kBuiltinCustom);
  fake.dims[kInput] = (Ints){2, {5, 7}};
  fake.dims[kOutput].size = 2;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(fake.dims[kOutput].data[1] == 7 && fake.tensors[kOutput].bytes == 35);
  memset(fake.output, 0x55, sizeof(fake.output));
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
  CHECK((fake.output[34] ^ fake.input[34]) == -128 && fake.output[35] == 0x55);
  // Buffers that the runtime did not allocate.
  fake.tensors[kInput].bytes = 34;
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteError);
  CHECK(strstr(fake.message, "not allocated") != NULL);
  fake.tensors[kInput].bytes = 35;
  fake.tensors[kOutput].data.raw = NULL;
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteError);
  fake.dims[kInput].data[0] = 0;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
  // Nobody to give it back to.
  fake.dims[kInput].data[0] = -1;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteError);
  CHECK(strstr(fake.message, "QUANTIZE 'the output'") != NULL);
  fake.registration.free(&fake.context, fake.node.user_data);
  oaq_delegate_destroy(delegate);
}

static void test_input_that_changes_shape(void) {
  Fake fake;
  make(&fake);
  const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 1};
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteOk);
  fake.dims[kInput].data[0] = 1;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(fake.dims[kOutput].data[0] == 1);
  fake.dims[kInput].data[1] = 0;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
  fake.dims[kInput].data[1] = 1 << 30;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteError);
  fake.dims[kInput].data[1] = -1;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteError);
  fake.dims[kInput].data[1] = 4;
  fake.dims[kInput].data[3] = 6;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteError);
  CHECK(strstr(fake.message, "the input") != NULL);
  // Buffers that the runtime did not allocate.
  fake.dims[kInput].data[3] = 3;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  fake.tensors[kInput].bytes = 3;
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteError);
  fake.registration.free(&fake.context, fake.node.user_data);
  // The plan is the delegate's: it stays after the interpreter is gone.
  char* plan = plan_of(delegate);
  CHECK(strstr(plan, "\"kind\": \"CONV_2D\", \"name\": \"the output\"") != NULL);
  free(plan);
  oaq_delegate_destroy(delegate);
}

static void test_profile_counts_and_times(void) {
  Fake fake;
  for (int profile = 0; profile < 2; ++profile) {
    make(&fake);
    const OaqDelegateOptions options = {
        .builtin = 1, .isa = "auto", .num_threads = 1, .profile = profile};
    TfLiteDelegate* delegate = oaq_delegate_create(&options);
    CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteOk);
    CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
    for (int i = 0; i < 3; ++i) {
      CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
    }
    char* plan = plan_of(delegate);
    const char* off = strstr(plan, "\"invocations\": null, \"nanoseconds\": null, \"reason\"");
    CHECK((strstr(plan, "\"invocations\": 3, \"nanoseconds\": ") != NULL) == (profile == 1));
    CHECK((off != NULL) == (profile == 0));
    free(plan);
    fake.registration.free(&fake.context, fake.node.user_data);
    oaq_delegate_destroy(delegate);
  }
  const OaqDelegateOptions options = {.isa = "auto", .num_threads = 1, .profile = 2};
  CHECK(oaq_delegate_create(&options) == NULL);
}

static void test_custom_op_with_bad_options_fails(void) {
  Fake fake;
  make(&fake);
  fake.registration.builtin_code = kBuiltinCustom;
  fake.registration.custom_name = "OaqConv2D";
  fake.node.custom_initial_data = "garbage";
  fake.node.custom_initial_data_size = 7;
  TfLiteDelegate* delegate = oaq_delegate_create(NULL);
  CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteError);
  CHECK(strstr(fake.message, "OaqConv2D 'the output'") != NULL);
  CHECK(strstr(fake.message, "FlexBuffers") != NULL);
  oaq_delegate_destroy(delegate);
  // Without the delegate: the same at prepare.
  const TfLiteRegistration* registration = oaq_register_conv_2d();
  fake.node.user_data = registration->init(&fake.context, "garbage", 7);
  CHECK(registration->prepare(&fake.context, &fake.node) == kTfLiteError);
  registration->free(&fake.context, fake.node.user_data);
}

// OaqConv2D, VALID, strides and dilations of 1, no activation, input codes claimed to be [0, 1].
static const uint8_t kClaim[] = {
    118, 101, 114, 115, 105, 111, 110, 0,   98,  117, 105, 108, 116, 105, 110, 95,  118, 101, 114,
    115, 105, 111, 110, 0,   97,  99,  116, 105, 118, 97,  116, 105, 111, 110, 0,   112, 97,  100,
    100, 105, 110, 103, 0,   115, 116, 114, 105, 100, 101, 95,  104, 0,   115, 116, 114, 105, 100,
    101, 95,  119, 0,   100, 105, 108, 97,  116, 105, 111, 110, 95,  104, 0,   100, 105, 108, 97,
    116, 105, 111, 110, 95,  119, 0,   105, 110, 112, 117, 116, 95,  108, 111, 0,   105, 110, 112,
    117, 116, 95,  104, 105, 0,   111, 117, 116, 112, 117, 116, 95,  108, 111, 0,   111, 117, 116,
    112, 117, 116, 95,  104, 105, 0,   12,  98,  115, 63,  53,  34,  44,  17,  28,  95,  88,  80,
    133, 12,  1,   12,  0,   3,   1,   1,   1,   0,   127, 128, 1,   1,   1,   1,   4,   4,   4,
    4,   4,   4,   4,   4,   4,   4,   4,   4,   24,  36,  1};

static void test_registration_checks_the_claim(void) {
  const TfLiteRegistration* registration = oaq_register_conv_2d();
  for (int within = 0; within < 2; ++within) {
    Fake fake;
    make(&fake);
    fake.dims[kInput] = (Ints){4, {1, 1, 1, 256}};
    fake.dims[kWeights] = (Ints){4, {4, 1, 1, 256}};
    fake.tensors[kInput].params.scale = 0.001f;
    // 256 products of 2^14 are 0 modulo 2^16: lanes that trusted the claim would drain zeros.
    memset(fake.weights, -128, sizeof(fake.weights));
    memset(fake.input, within ? 1 : -128, sizeof(fake.input));
    fake.node.user_data = registration->init(&fake.context, (const char*)kClaim, sizeof(kClaim));
    if (registration->prepare(&fake.context, &fake.node) != kTfLiteOk) {
      fprintf(stderr, "%s\n", fake.message);
      CHECK(false);
    }
    CHECK(registration->invoke(&fake.context, &fake.node) == kTfLiteOk);
    // 256 * -128 * 0.001 = -32.8, and 256 * 2^14 * 0.001 is far above the codes.
    for (size_t n = 0; n < 4; ++n) CHECK(fake.output[n] == (within ? -33 : 127));
    registration->free(&fake.context, fake.node.user_data);
  }
}

static void test_names_become_valid_json(void) {
  Fake fake;
  make(&fake);
  fake.tensors[kOutput].name = "a\"b\\c\n\xC3\xA9\xFF\xE2\x82";
  CHECK(delegate_to(&fake, "a\\\"b\\\\c\\u000a\xC3\xA9\\ufffd\\ufffd\\ufffd\""));
  make(&fake);
  fake.tensors[kOutput].name = NULL;
  CHECK(delegate_to(&fake, "\"name\": \"\""));
}

// What the runtime's own op was asked to do.
typedef struct Original {
  int prepared, invoked, freed;
} Original;

static TfLiteStatus original_prepare(TfLiteContext* context, TfLiteNode* node) {
  (void)context;
  ++((Original*)node->user_data)->prepared;
  return kTfLiteOk;
}

static TfLiteStatus original_invoke(TfLiteContext* context, TfLiteNode* node) {
  (void)context;
  ++((Original*)node->user_data)->invoked;
  return kTfLiteOk;
}

static void original_free(TfLiteContext* context, void* data) {
  (void)context;
  ++((Original*)data)->freed;
}

// A builtin op runs as the runtime's own for shapes that ours does not take, and as ours again.
static void test_shapes_that_the_runtime_gets_back(void) {
  Fake fake;
  make(&fake);
  Original original = {0, 0, 0};
  fake.node.user_data = &original;
  fake.registration.prepare = original_prepare;
  fake.registration.invoke = original_invoke;
  fake.registration.free = original_free;
  const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 1};
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteOk);
  for (int round = 0; round < 2; ++round) {
    fake.dims[kInput].data[3] = 6;
    CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
    CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
    CHECK(original.prepared == round + 1 && original.invoked == round + 1);
    char* plan = plan_of(delegate);
    CHECK(strstr(plan, "\"runs\": \"stock\"") != NULL);
    CHECK(strstr(plan, "3 channels: left to the runtime") != NULL);
    free(plan);
    fake.dims[kInput].data[3] = 3;
    CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
    CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
    CHECK(original.prepared == round + 1 && original.invoked == round + 1);
    plan = plan_of(delegate);
    CHECK(strstr(plan, "left to the runtime") == NULL);
    free(plan);
  }
  CHECK(original.freed == 0);
  fake.registration.free(&fake.context, fake.node.user_data);
  CHECK(original.freed == 1);
  oaq_delegate_destroy(delegate);
}

static void test_quantize_that_the_runtime_gets_back(void) {
  Fake fake;
  make_quantize(&fake);
  Original original = {0, 0, 0};
  fake.node.user_data = &original;
  fake.registration.prepare = original_prepare;
  fake.registration.invoke = original_invoke;
  fake.registration.free = original_free;
  const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 1};
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteOk);
  fake.dims[kInput].data[0] = -1;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(original.prepared == 1 && original.invoked == 1);
  char* plan = plan_of(delegate);
  CHECK(strstr(plan, "\"runs\": \"stock\"") != NULL);
  free(plan);
  fake.dims[kInput].data[0] = 1;
  CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(fake.registration.invoke(&fake.context, &fake.node) == kTfLiteOk);
  CHECK(original.prepared == 1 && original.invoked == 1);
  plan = plan_of(delegate);
  CHECK(strstr(plan, "\"runs\": \"table\"") != NULL);
  free(plan);
  fake.registration.free(&fake.context, fake.node.user_data);
  CHECK(original.freed == 1);
  oaq_delegate_destroy(delegate);
}

#ifdef OAQ_TEST_THREADS
// Two interpreters on one delegate, each on a thread of its own.
static void* run_often(void* data) {
  Fake* fake = data;
  int8_t expected[2][sizeof(fake->output)];
  for (int round = 0; round < 200; ++round) {
    // Resized up and down: scratch grows, and is then larger than it has to be.
    fake->dims[kInput].data[0] = round % 2 + 1;
    CHECK(fake->registration.prepare(&fake->context, &fake->node) == kTfLiteOk);
    memset(fake->output, 0x55, sizeof(fake->output));
    CHECK(fake->registration.invoke(&fake->context, &fake->node) == kTfLiteOk);
    int8_t* first = expected[round % 2];
    if (round < 2) memcpy(first, fake->output, sizeof(fake->output));
    CHECK(memcmp(first, fake->output, sizeof(fake->output)) == 0);
  }
  return NULL;
}

static void test_interpreters_at_the_same_time(void) {
  Fake fakes[2];
  const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 2};
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  for (int i = 0; i < 2; ++i) {
    make(&fakes[i]);
    memset(fakes[i].input, i == 0 ? 3 : -7, sizeof(fakes[i].input));
    CHECK(delegate->Prepare(&fakes[i].context, delegate) == kTfLiteOk);
  }
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) CHECK(pthread_create(&threads[i], NULL, run_often, &fakes[i]) == 0);
  for (int i = 0; i < 2; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  for (int i = 0; i < 2; ++i) {
    fakes[i].registration.free(&fakes[i].context, fakes[i].node.user_data);
  }
  oaq_delegate_destroy(delegate);
}
#endif

#ifdef OAQ_TEST_ALLOCATOR
static size_t number_of(const char* plan, const char* key) {
  const char* found = strstr(plan, key);
  CHECK(found != NULL);
  return (size_t)strtoull(found + strlen(key), NULL, 10);
}

// What the plan says that a node takes, and what goes with it.
static void test_memory_in_the_plan(void) {
  Fake fake;
  for (int quantize = 0; quantize < 2; ++quantize) {
    const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 1};
    TfLiteDelegate* delegate = oaq_delegate_create(&options);
    if (quantize) {
      make_quantize(&fake);
    } else {
      make(&fake);
    }
    const size_t before = allocator_bytes();
    CHECK(delegate->Prepare(&fake.context, delegate) == kTfLiteOk);
    CHECK(fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk);
    const size_t held = allocator_bytes() - before;
    char* plan = plan_of(delegate);
    const size_t packed = number_of(plan, "\"packed_bytes\": ");
    const size_t scratch = number_of(plan, "\"scratch_bytes\": ");
    CHECK(number_of(plan, "\"weights_bytes\": ") == (quantize ? 0 : 4 * 2 * 2 * 3));
    CHECK(number_of(plan, "\"workers\": ") == 1 && (scratch == 0) == (quantize == 1));
    // The plan's own entry, the graph's scratch and its list of blocks.
    const size_t entry = sizeof(OaqPlanEntry) + sizeof("the output");
    const size_t blocks = scratch > 0 ? sizeof(OaqScratchBlock) : 0;
    CHECK(held == packed + scratch + entry + sizeof(OaqScratch) + sizeof(size_t) + blocks);
    // With the interpreter goes all but the plan.
    fake.registration.free(&fake.context, fake.node.user_data);
    free(plan);
    CHECK(allocator_bytes() - before == entry);
    oaq_delegate_destroy(delegate);
  }
}

// Every allocation fails once.
static void test_out_of_memory(void) {
  Fake fake;
  const size_t before = allocator_bytes();
  bool failed = true;
  int claimed = 0;
  for (int allocations = 0; failed; ++allocations) {
    make(&fake);
    const OaqDelegateOptions options = {.builtin = 1, .isa = "auto", .num_threads = 1};
    TfLiteDelegate* delegate = oaq_delegate_create(&options);
    allocator_fail_after(allocations);
    const TfLiteStatus status = delegate->Prepare(&fake.context, delegate);
    bool prepared = fake.registration.invoke != NULL;
    CHECK(status == kTfLiteOk || !prepared);
    if (prepared) {
      ++claimed;
      prepared = fake.registration.prepare(&fake.context, &fake.node) == kTfLiteOk;
    }
    failed = !allocator_is_to_fail();
    // An entry can do without its name.
    CHECK(prepared || failed);
    allocator_fail_after(-1);
    if (fake.registration.invoke != NULL) {
      fake.registration.free(&fake.context, fake.node.user_data);
    }
    oaq_delegate_destroy(delegate);
    CHECK(allocator_bytes() == before);
  }
  CHECK(claimed > 1);
}
#endif

static char last_error[512];

static void remember(const char* message) {
  snprintf(last_error, sizeof(last_error), "%s", message);
}

static void expect_option_error(const char* key, const char* value, const char* part) {
  char* keys[] = {(char*)key};
  char* values[] = {(char*)value};
  CHECK(tflite_plugin_create_delegate(keys, values, 1, NULL) == NULL);
  CHECK(tflite_plugin_create_delegate(keys, values, 1, remember) == NULL);
  CHECK(strstr(last_error, part) != NULL);
}

static void test_options(void) {
  expect_option_error("threads", "1", "expected builtin, isa, plan, num_threads or profile");
  expect_option_error("builtin", "yes", "expected 0 or 1");
  expect_option_error("profile", "2", "option profile is '2', expected 0 or 1");
  expect_option_error("isa", "neon9", "have: auto, scalar");
  expect_option_error("plan", "", "expected auto, int16 or exact");
  expect_option_error("num_threads", "0", "expected 1");
  expect_option_error("num_threads", "-1", "expected 1");
  expect_option_error("num_threads", "99999999999", "expected 1");
  char* keys[] = {"builtin", "isa", "plan", "num_threads"};
  char* values[] = {"1", "scalar", "int16", "4"};
  TfLiteDelegate* delegate = tflite_plugin_create_delegate(keys, values, 4, remember);
  CHECK(delegate != NULL && delegate->flags == 1);
  char text[3] = "xx";
  CHECK(oaq_delegate_plan_json(delegate, text, sizeof(text)) == 2 && strcmp(text, "[]") == 0);
  CHECK(oaq_delegate_plan_json(delegate, text, 2) == 2 && strcmp(text, "[") == 0);
  tflite_plugin_destroy_delegate(delegate);
  tflite_plugin_destroy_delegate(NULL);
  OaqDelegateOptions options = oaq_delegate_options_default();
  options.num_threads = 0;
  CHECK(oaq_delegate_create(&options) == NULL);
  CHECK(oaq_version()[0] != 0);
}

int main(void) {
  test_options();
  test_what_is_left_to_the_runtime();
  test_quantize();
  test_leaky_relu();
  test_quantize_that_changes_shape();
  test_input_that_changes_shape();
  test_shapes_that_the_runtime_gets_back();
  test_quantize_that_the_runtime_gets_back();
  test_profile_counts_and_times();
  test_custom_op_with_bad_options_fails();
  test_registration_checks_the_claim();
  test_names_become_valid_json();
#ifdef OAQ_TEST_THREADS
  test_interpreters_at_the_same_time();
#endif
#ifdef OAQ_TEST_ALLOCATOR
  test_memory_in_the_plan();
  test_out_of_memory();
#endif
  return 0;
}
