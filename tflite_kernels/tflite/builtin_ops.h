// SPDX-License-Identifier: Apache-2.0
#ifndef OAQ_TFLITE_BUILTIN_OPS_H_
#define OAQ_TFLITE_BUILTIN_OPS_H_

#include <stdint.h>

// BuiltinOperator of the TensorFlow Lite schema: the ops that ranges pass through.
enum {
  kBuiltinAdd = 0,
  kBuiltinAveragePool2d = 1,
  kBuiltinConcatenation = 2,
  kBuiltinConv2d = 3,
  kBuiltinDepthwiseConv2d = 4,
  kBuiltinDepthToSpace = 5,
  kBuiltinFullyConnected = 9,
  kBuiltinMaxPool2d = 17,
  kBuiltinMul = 18,
  kBuiltinRelu = 19,
  kBuiltinReluN1To1 = 20,
  kBuiltinRelu6 = 21,
  kBuiltinReshape = 22,
  kBuiltinSpaceToDepth = 26,
  kBuiltinCustom = 32,
  kBuiltinPad = 34,
  kBuiltinGather = 36,
  kBuiltinBatchToSpaceNd = 37,
  kBuiltinSpaceToBatchNd = 38,
  kBuiltinTranspose = 39,
  kBuiltinSub = 41,
  kBuiltinSqueeze = 43,
  kBuiltinStridedSlice = 45,
  kBuiltinSplit = 49,
  kBuiltinMaximum = 55,
  kBuiltinMinimum = 57,
  kBuiltinSlice = 65,
  kBuiltinTransposeConv = 67,
  kBuiltinTile = 69,
  kBuiltinExpandDims = 70,
  kBuiltinPack = 83,
  kBuiltinResizeNearestNeighbor = 97,
  kBuiltinLeakyRelu = 98,
  kBuiltinMirrorPad = 100,
  kBuiltinSplitV = 102,
  kBuiltinQuantize = 114,
  kBuiltinBroadcastTo = 130,
};

// The schema's name of a builtin op; "BUILTIN" for codes newer than this table.
const char* oaq_builtin_name(int32_t code);

#endif  // OAQ_TFLITE_BUILTIN_OPS_H_
