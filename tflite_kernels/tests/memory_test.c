// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "allocator.h"
#include "core/reference.h"
#include "core/size.h"
#include "test.h"

// What ops say that they take, against the allocator; and what they do where it has nothing left.

static void test_scratch(void) {
  const size_t before = allocator_bytes();
  OaqScratch scratch = {0};
  OaqScratchUse small = {.scratch = &scratch, .workers = 3};
  CHECK(oaq_scratch_reserve(&small, NULL) && scratch.count == 0);
  CHECK(oaq_scratch_worker(&small, 2) == NULL);
  size_t first = 1, second = 0;
  CHECK(oaq_scratch_add(5, 1, &small.size, &first) && first == 0 && small.size == 5);
  CHECK(oaq_scratch_add(3, 8, &small.size, &second) && second == 64 && small.size == 64 + 24);
  CHECK(oaq_scratch_reserve(&small, NULL));
  // One worker with more than the others.
  const OaqScratchUse large = {.scratch = &scratch, .size = 1000, .workers = 1};
  CHECK(oaq_scratch_reserve(&large, NULL) && scratch.count == 3);
  CHECK(oaq_scratch_reserve(&small, NULL));
  CHECK(allocator_bytes() - before == oaq_scratch_block_bytes(1000) +
                                          2 * oaq_scratch_block_bytes(small.size) +
                                          3 * sizeof(OaqScratchBlock));
  for (size_t i = 0; i < 3; ++i) {
    char* block = oaq_scratch_worker(&small, i);
    CHECK((uintptr_t)block % OAQ_SCRATCH_ALIGNMENT == 0);
    memset(block, 0x33, i == 0 ? 1000 : small.size);
  }
  // Sizes that wrap, and no memory: all stays as it was.
  size_t size = 100, offset = 7;
  CHECK(!oaq_scratch_add(SIZE_MAX / 4, 8, &size, &offset));
  CHECK(!oaq_scratch_add(SIZE_MAX - 50, 1, &size, &offset));
  size = SIZE_MAX - 30;
  CHECK(!oaq_scratch_add(1, 1, &size, &offset) && size == SIZE_MAX - 30 && offset == 7);
  const OaqScratchUse wrapping = {.scratch = &scratch, .size = SIZE_MAX - 10, .workers = 1};
  const OaqScratchUse crowd = {.scratch = &scratch, .size = 1, .workers = SIZE_MAX / 8};
  OaqError error;
  CHECK(!oaq_scratch_reserve(&wrapping, &error) && strstr(error.text, "out of memory") != NULL);
  CHECK(!oaq_scratch_reserve(&crowd, &error) && strstr(error.text, "out of memory") != NULL);
  const OaqScratchUse more = {.scratch = &scratch, .size = 2000, .workers = 2};
  for (int allocations = 0; allocations < 2; ++allocations) {
    char* blocks[] = {oaq_scratch_worker(&small, 0), oaq_scratch_worker(&small, 1)};
    allocator_fail_after(allocations);
    CHECK(!oaq_scratch_reserve(&more, NULL) && !allocator_is_to_fail());
    CHECK(scratch.blocks[0].size == (allocations == 0 ? 1000 : 2000));
    CHECK(allocations > 0 || oaq_scratch_worker(&small, 0) == blocks[0]);
    CHECK(allocations > 0 || *blocks[0] == 0x33);
    CHECK(oaq_scratch_worker(&small, 1) == blocks[1] && *blocks[1] == 0x33);
  }
  oaq_scratch_free(&scratch);
  CHECK(allocator_bytes() == before && scratch.count == 0);
  oaq_scratch_free(&scratch);
}

// An op of any kind.
typedef union AnyOp {
  OaqConv2d conv_2d;
  OaqDepthwiseConv2d depthwise_conv_2d;
  OaqFullyConnected fully_connected;
  OaqTransposeConv transpose_conv;
} AnyOp;

typedef struct Case {
  int kind;
  OaqConv2dParams conv_2d;
  OaqDepthwiseConv2dParams depthwise_conv_2d;
  OaqFullyConnectedParams fully_connected;
  OaqTransposeConvParams transpose_conv;
  OaqPlanner planner;
  int8_t* weights;
  size_t weights_size, input_size, output_size;
  size_t steps_size;  // of a list of steps of a lane
} Case;

static bool create(const Case* test, AnyOp* op) {
  const OaqPlanner* planner = &test->planner;
  switch (test->kind) {
    case 0:
      return oaq_conv_2d_create(&test->conv_2d, test->weights, NULL, planner, &op->conv_2d, NULL);
    case 1:
      return oaq_depthwise_conv_2d_create(&test->depthwise_conv_2d, test->weights, NULL, planner,
                                          &op->depthwise_conv_2d, NULL);
    case 2:
      return oaq_fully_connected_create(&test->fully_connected, test->weights, NULL, planner,
                                        &op->fully_connected, NULL);
    default:
      return oaq_transpose_conv_create(&test->transpose_conv, test->weights, NULL, planner,
                                       &op->transpose_conv, NULL);
  }
}

static bool reshape(const Case* test, AnyOp* op, int32_t size) {
  switch (test->kind) {
    case 0:
      return oaq_conv_2d_reshape(&op->conv_2d, 1, size, size, NULL);
    case 1:
      return oaq_depthwise_conv_2d_reshape(&op->depthwise_conv_2d, 1, size, size, NULL);
    case 2:
      return oaq_fully_connected_reshape(&op->fully_connected, (size_t)size, NULL);
    default:
      return oaq_transpose_conv_reshape(&op->transpose_conv, 1, size, size, NULL);
  }
}

static void run(const Case* test, AnyOp* op, const int8_t* input, bool any_codes, int8_t* output) {
  switch (test->kind) {
    case 0:
      oaq_conv_2d_run(&op->conv_2d, input, any_codes, output);
      break;
    case 1:
      oaq_depthwise_conv_2d_run(&op->depthwise_conv_2d, input, any_codes, output);
      break;
    case 2:
      oaq_fully_connected_run(&op->fully_connected, input, any_codes, output);
      break;
    default:
      oaq_transpose_conv_run(&op->transpose_conv, input, any_codes, output);
  }
}

static size_t bytes_of(const Case* test, const AnyOp* op) {
  switch (test->kind) {
    case 0:
      return oaq_conv_2d_bytes(&op->conv_2d);
    case 1:
      return oaq_depthwise_conv_2d_bytes(&op->depthwise_conv_2d);
    case 2:
      return oaq_fully_connected_bytes(&op->fully_connected);
    default:
      return oaq_transpose_conv_bytes(&op->transpose_conv);
  }
}

static const OaqScratchUse* use_of(const Case* test, const AnyOp* op) {
  switch (test->kind) {
    case 0:
      return &op->conv_2d.use;
    case 1:
      return &op->depthwise_conv_2d.use;
    case 2:
      return &op->fully_connected.use;
    default:
      return &op->transpose_conv.use;
  }
}

static void free_op(const Case* test, AnyOp* op) {
  switch (test->kind) {
    case 0:
      oaq_conv_2d_free(&op->conv_2d);
      break;
    case 1:
      oaq_depthwise_conv_2d_free(&op->depthwise_conv_2d);
      break;
    case 2:
      oaq_fully_connected_free(&op->fully_connected);
      break;
    default:
      oaq_transpose_conv_free(&op->transpose_conv);
  }
}

enum { kSize = 9, kMostChannels = 80 };

static OaqWindow make_window(Random* random, int32_t dilation) {
  return (OaqWindow){.filter = random_int(random, 1, 4),
                     .stride = random_int(random, 1, 2),
                     .dilation = dilation,
                     .padding = random_int(random, 0, 1) ? OAQ_PADDING_SAME : OAQ_PADDING_VALID};
}

static void make_case(Random* random, const OaqKernels* kernels, OaqThreads* threads,
                      OaqScratch* scratch, OaqRequantize requantize, Case* test) {
  const int32_t dilation = random_int(random, 1, 2);
  const OaqWindow height = make_window(random, dilation), width = make_window(random, dilation);
  const OaqRange range = {-20, random_int(random, 0, 100)};
  const size_t taps = (size_t)(height.filter * width.filter);
  const size_t groups = random_int(random, 0, 3) == 0 ? 2 : 1;
  const size_t inputs = groups * (size_t)random_int(random, 1, kMostChannels / 2);
  const size_t outputs = groups * (size_t)random_int(random, 1, kMostChannels / 2);
  const OaqPolicy policy = (OaqPolicy)random_int(random, 0, 2);
  *test = (Case){
      .kind = random_int(random, 0, 3),
      .planner = {policy, kernels, threads, scratch, random_int(random, 0, 1) == 1
#ifdef OAQ_COUNT_OVERFLOWS
                  ,
                  NULL, false
#endif
      },
      .conv_2d = {.height = height,
                  .width = width,
                  .input_channels = inputs,
                  .output_channels = outputs,
                  .groups = groups,
                  .input_range = range,
                  .requantize = requantize},
      .depthwise_conv_2d = {height, width, inputs, 1, 0, range, requantize},
      .fully_connected = {taps * inputs, outputs, 0, range, requantize},
      .transpose_conv = {height, width, kSize, kSize, inputs, outputs, 0, range, requantize}};
  test->transpose_conv.height.dilation = test->transpose_conv.width.dilation = 1;
  test->weights_size = taps * inputs * (test->kind == 1 ? 1 : outputs);
  if (test->kind == 0) test->weights_size /= groups;
  test->steps_size = (test->kind == 1 ? taps : taps * inputs) * sizeof(uint32_t);
  const size_t positions = (kSize + 1) * (kSize + 1);
  test->input_size = positions * taps * inputs;
  test->output_size = positions * kMostChannels * kMostChannels;
  test->weights = test_alloc(test->weights_size, 1);
  const int32_t magnitude = random_int(random, 0, 1) ? 127 : 10;
  random_codes(random, -magnitude, magnitude, test->weights, test->weights_size);
}

static size_t scratch_bytes(const OaqScratch* scratch) {
  size_t bytes = scratch->count * sizeof(*scratch->blocks);
  for (size_t i = 0; i < scratch->count; ++i) {
    bytes += oaq_scratch_block_bytes(scratch->blocks[i].size);
  }
  return bytes;
}

// What an op holds, from the beginning to the end.
static void check_bytes(const Case* test, OaqScratch* scratch) {
  AnyOp op;
  int8_t* input = test_alloc(test->input_size, 1);
  int8_t* output = test_alloc(test->output_size, 1);
  const size_t before = allocator_bytes();
  allocator_watch();
  CHECK(create(test, &op));
  const size_t bytes = bytes_of(test, &op);
  CHECK(allocator_bytes() - before == bytes && bytes >= test->weights_size);
  // Meanwhile at most a copy of the weights, a tile and a list of steps, both padded.
  const size_t tile = 2 * 4 * (test->steps_size / sizeof(uint32_t) + 8) * OAQ_MAX_TILE_CHANNELS;
  CHECK(allocator_peak() - before <= bytes + test->weights_size + tile + 2 * test->steps_size);
  for (int32_t size = kSize - 4; size <= kSize; size += 4) {
    CHECK(reshape(test, &op, size));
    CHECK(allocator_bytes() - before == bytes_of(test, &op) + scratch_bytes(scratch));
    const OaqScratchUse* use = use_of(test, &op);
    for (size_t i = 0; use->size > 0 && i < use->workers; ++i) {
      CHECK(scratch->blocks[i].size >= use->size);
    }
    run(test, &op, input, false, output);
    CHECK(allocator_bytes() - before == bytes_of(test, &op) + scratch_bytes(scratch));
  }
  // A smaller shape takes no more.
  const size_t most = scratch_bytes(scratch);
  CHECK(reshape(test, &op, kSize - 4) && scratch_bytes(scratch) == most);
  free_op(test, &op);
  oaq_scratch_free(scratch);
  CHECK(allocator_bytes() == before);
  free(input);
  free(output);
}

// Every allocation fails once. An op is made and runs or is not, and leaves nothing behind.
static void check_failures(const Case* test, OaqScratch* scratch) {
  int8_t* input = test_alloc(test->input_size, 1);
  int8_t* expected = test_alloc(test->output_size, 1);
  int8_t* output = test_alloc(test->output_size, 1);
  AnyOp op;
  CHECK(create(test, &op) && reshape(test, &op, kSize));
  run(test, &op, input, false, expected);
  free_op(test, &op);
  oaq_scratch_free(scratch);
  const size_t before = allocator_bytes();
  bool failed = true;
  for (int allocations = 0; failed; ++allocations) {
    allocator_fail_after(allocations);
    const bool created = create(test, &op);
    const bool reshaped = created && reshape(test, &op, kSize);
    failed = !allocator_is_to_fail();
    CHECK(reshaped == !failed);
    allocator_fail_after(-1);
    if (created) {
      CHECK(reshape(test, &op, kSize));
      run(test, &op, input, false, output);
      CHECK(memcmp(output, expected, test->output_size) == 0);
      free_op(test, &op);
    }
    oaq_scratch_free(scratch);
    CHECK(allocator_bytes() == before);
  }
  free(input);
  free(expected);
  free(output);
}

int main(void) {
  test_scratch();
  Random random = {12};
  OaqMultiplier multipliers[kMostChannels];
  double reals[kMostChannels];
  for (size_t c = 0; c < kMostChannels; ++c) {
    multipliers[c] = (OaqMultiplier){(1 << 30) + (int32_t)c, c % 9 == 8 ? 1 : -9};
    reals[c] = 1e-3;
  }
  OaqThreads* pools[] = {NULL, oaq_threads_create(3, 1)};
  for (size_t i = 0; i < oaq_num_isas; ++i) {
    const OaqKernels* kernels = oaq_kernels_find(oaq_isas[i]);
    for (int round = 0; kernels != NULL && round < 100; ++round) {
      const OaqRequantize requantize = {
          .channels = round % 3 ? multipliers : NULL, .reals = reals, .lo = -128, .hi = 127};
      OaqScratch scratch = {0};
      Case test;
      make_case(&random, kernels, pools[round % 2], &scratch, requantize, &test);
      check_bytes(&test, &scratch);
      if (round % 4 == 0) {
        // Threads, which start when they are first needed, allocate as well.
        test.planner.threads = NULL;
        check_failures(&test, &scratch);
      }
      free(test.weights);
    }
  }
  oaq_threads_destroy(pools[1]);
  CHECK(allocator_bytes() == 0);
  return 0;
}
