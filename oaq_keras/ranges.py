# SPDX-License-Identifier: Apache-2.0
"""Activation ranges: which codes a tensor can hold, as facts of the graph's arithmetic.

A range is what the operator that writes the tensor enforces, by the table in docs/format.md.
Whatever the table does not cover may hold any code, so a range is never too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from oaq_keras.custom_ops import CUSTOM_TO_BUILTIN, decode_options
from oaq_keras.errors import ModelFileError
from oaq_keras.flatbuffer import (
    Graph,
    Model,
    Operator,
    Quantization,
    Tensor,
    is_constant,
    is_int8,
    kind,
    quantization,
)
from oaq_keras.tflite_schema import schema

Range = tuple[int, int]

FULL: Range = (-128, 127)

# All codes of the types that QUANTIZE reads one byte of.
_ALL_CODES: dict[int, Range] = {
    schema.TensorType.INT8: FULL,
    schema.TensorType.UINT8: (0, 255),
}
# The runtime's QUANTIZE shifts a difference of two codes left by so much at most in 32 bits.
_LARGEST_SHIFT = 23

FUSING_TRANSPOSE_CONV = 4
"""First version of TRANSPOSE_CONV that has a fused activation."""

_ACTIVATION = schema.ActivationFunctionType
_ACTIVATION_LIMITS: dict[int, tuple[float, float]] = {
    _ACTIVATION.RELU: (0.0, math.inf),
    _ACTIVATION.RELU_N1_TO_1: (-1.0, 1.0),
    _ACTIVATION.RELU6: (0.0, 6.0),
}
_ACTIVATION_OPS = {
    "RELU": _ACTIVATION.RELU,
    "RELU6": _ACTIVATION.RELU6,
    "RELU_N1_TO_1": _ACTIVATION.RELU_N1_TO_1,
}
_FUSED_OPTIONS = {
    "CONV_2D": schema.Conv2DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
    "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
}
# Operators whose output codes are input codes; the value is the input that holds them.
PASS_THROUGH = {
    **dict.fromkeys(
        (
            # Pools leave what their padding would add out of maximum and average.
            "MAX_POOL_2D",
            "AVERAGE_POOL_2D",
            "RESHAPE",
            "SQUEEZE",
            "EXPAND_DIMS",
            "TRANSPOSE",
            "STRIDED_SLICE",
            "SLICE",
            "SPLIT_V",
            "GATHER",
            "SPACE_TO_DEPTH",
            "DEPTH_TO_SPACE",
            "BATCH_TO_SPACE_ND",
            "SPACE_TO_BATCH_ND",
            "RESIZE_NEAREST_NEIGHBOR",
            "TILE",
            "BROADCAST_TO",
            "PAD",
            "MIRROR_PAD",
        ),
        0,
    ),
    "SPLIT": 1,
}
_POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D")
# The runtime's average sums a filter of so many codes in an int32 that may wrap beyond.
_LARGEST_AVERAGE = 1 << 23
_PADDING = ("PAD", "MIRROR_PAD", "SPACE_TO_BATCH_ND")
_UNIONS = ("CONCATENATION", "PACK")
_EXTREMES = ("MINIMUM", "MAXIMUM")


def activation_range(activation: int, output: Quantization) -> Range:
    """Codes that a fused activation leaves: TFLite's `CalculateActivationRangeQuantized` for int8.

    Args:
      activation: schema `ActivationFunctionType`.
      output: quantization of the tensor written.
    """
    if activation not in _ACTIVATION_LIMITS:
        return FULL
    low, high = _ACTIVATION_LIMITS[activation]
    highest = 127 if math.isinf(high) else min(127, _code(high, output))
    return max(-128, _code(low, output)), highest


def tensor_ranges(model: Model, graph: Graph) -> list[Range]:
    """[lo, hi] of every tensor of a subgraph, `FULL` where nothing is known.

    Raises:
      ModelFileError: the custom options of an Oaq operator are malformed.
    """
    ranges = [FULL] * len(graph.tensors)
    written_once = _written_once(model, graph)
    for index, tensor in enumerate(graph.tensors):
        if is_int8(tensor) and index in written_once and is_constant(model, graph, index):
            ranges[index] = _constant_range(model, tensor)
    for operator in graph.operators:
        for output in operator.outputs:
            if output in written_once and is_int8(graph.tensors[output]):
                ranges[output] = _produced(model, graph, operator, int(output), ranges)
    return ranges


def requantized(code: int, source: Quantization, output: Quantization) -> int:
    """What TFLite's QUANTIZE makes of a code, before it is clamped to the type of the output.

    Raises:
      OverflowError: the scales are 2^23 and more apart, where its 32-bit products overflow.
    """
    ratio, shift = math.frexp(float(source.scale[0]) / float(output.scale[0]))
    multiplier = math.floor(ratio * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if shift > _LARGEST_SHIFT:
        raise OverflowError(f"a shift by {shift} bits")
    if shift < -31:
        multiplier, shift = 0, 0
    steps = code - int(source.zero_point[0])
    high = ((steps << max(shift, 0)) * multiplier + 2**30) >> 31
    right = max(-shift, 0)
    # Halves away from zero.
    rounded = (abs(high) + ((1 << right) >> 1)) >> right
    return int(output.zero_point[0]) + (rounded if high >= 0 else -rounded)


def transpose_conv_fuses(model: Model, operator: Operator) -> bool:
    """Whether a builtin TRANSPOSE_CONV is of a version that has a fused activation."""
    return bool(model.operatorCodes[operator.opcodeIndex].version >= FUSING_TRANSPOSE_CONV)


def padded(graph: Graph, index: int, known: Range) -> Range:
    """`known` widened to the zero point's code, which padding writes."""
    zero_point = int(quantization(graph, index).zero_point[0])
    return min(known[0], zero_point), max(known[1], zero_point)


def _code(real: float, output: Quantization) -> int:
    # As in TFLite: a float32 division, rounded half away from zero.
    with np.errstate(over="ignore"):
        steps = float(np.float32(real) / output.scale[0])
    magnitude = math.floor(min(abs(steps), 2.0**31) + 0.5)
    return int(output.zero_point[0]) + (magnitude if steps >= 0 else -magnitude)


def _written_once(model: Model, graph: Graph) -> set[int]:
    """Tensors that exactly one source writes, before any operator reads them.

    A tensor that is read before it is written would show what the arena held before.
    """
    writers = [0] * len(graph.tensors)
    for index in range(len(graph.tensors)):
        if len(model.buffers[graph.tensors[index].buffer].data) or graph.tensors[index].isVariable:
            writers[index] += 1
    for index in graph.inputs:
        writers[index] += 1
    early: set[int] = set()
    for operator in graph.operators:
        early.update(int(i) for i in operator.inputs if i >= 0 and writers[i] == 0)
        for index in operator.outputs:
            if index >= 0:
                writers[index] += 1
    return {i for i, count in enumerate(writers) if count == 1} - early


def _constant_range(model: Model, tensor: Tensor) -> Range:
    if tensor.sparsity is not None:
        return FULL
    codes = np.asarray(model.buffers[tensor.buffer].data).view(np.int8)
    return int(codes.min()), int(codes.max())


def _produced(
    model: Model, graph: Graph, operator: Operator, output: int, ranges: Sequence[Range]
) -> Range:
    name = kind(model, operator)
    if name in CUSTOM_TO_BUILTIN:
        options = decode_options(graph, operator, CUSTOM_TO_BUILTIN[name])
        fused = _activated(graph, output, options.activation, FULL)
        return _clip(fused, (options.output_lo, options.output_hi))
    if name == "TRANSPOSE_CONV" and not transpose_conv_fuses(model, operator):
        return FULL
    if name in _FUSED_OPTIONS:
        return _activated(graph, output, _fused(operator, _FUSED_OPTIONS[name]), FULL)
    if name in _ACTIVATION_OPS:
        return _activated(graph, output, _ACTIVATION_OPS[name], FULL)
    if name == "QUANTIZE":
        return _requantized(graph, operator, output, ranges)
    if name in PASS_THROUGH:
        return _passed(graph, operator, output, ranges, name)
    if name in _UNIONS or name in _EXTREMES:
        inputs = [int(i) for i in operator.inputs]
        if not inputs or not all(_same_codes(graph, i, output) for i in inputs):
            return FULL
        lows, highs = zip(*(ranges[i] for i in inputs), strict=True)
        if name == "MINIMUM":
            return min(lows), min(highs)
        if name == "MAXIMUM":
            return max(lows), max(highs)
        return min(lows), max(highs)
    return FULL


def _requantized(graph: Graph, operator: Operator, output: int, ranges: Sequence[Range]) -> Range:
    if len(operator.inputs) != 1 or len(operator.outputs) != 1 or operator.inputs[0] < 0:
        return FULL
    source = int(operator.inputs[0])
    every = _ALL_CODES.get(graph.tensors[source].type)
    first, second = _affine(graph, source), _affine(graph, output)
    if every is None or first is None or second is None:
        return FULL
    if not every[0] <= first.zero_point[0] <= every[1]:
        return FULL
    known = ranges[source] if is_int8(graph.tensors[source]) else every
    try:
        low, high = (requantized(code, first, second) for code in known)
    except OverflowError:
        return FULL
    low, high = _clip((low, high), FULL)
    # XNNPACK multiplies by eight bits behind the point: up to a code off where that is not 1.
    off = 0 if first.scale[0] == second.scale[0] else 1
    return _clip((low - off, high + off), FULL)


def _passed(
    graph: Graph, operator: Operator, output: int, ranges: Sequence[Range], name: str
) -> Range:
    position = PASS_THROUGH[name]
    source = int(operator.inputs[position]) if len(operator.inputs) > position else -1
    same = _same_codes(graph, source, output)
    known = ranges[source] if same else FULL
    if same and name in _PADDING:
        known = padded(graph, output, known)
    if name not in _POOLS:
        return known
    if name == "AVERAGE_POOL_2D" and _filter_elements(operator) > _LARGEST_AVERAGE:
        known = FULL
    return _activated(graph, output, _fused(operator, schema.Pool2DOptionsT), known)


def _filter_elements(operator: Operator) -> int:
    given = operator.builtinOptions
    if not isinstance(given, schema.Pool2DOptionsT):
        return 0
    return int(given.filterWidth) * int(given.filterHeight)


def _fused(operator: Operator, options: Any) -> int:
    # Options of another operator's type are what TFLite reads as none.
    given = operator.builtinOptions
    return int(given.fusedActivationFunction) if isinstance(given, options) else _ACTIVATION.NONE


def _activated(graph: Graph, output: int, activation: int, known: Range) -> Range:
    affine = _affine(graph, output)
    return known if affine is None else _clip(known, activation_range(activation, affine))


def _clip(known: Range, limits: Range) -> Range:
    low, high = (min(max(code, limits[0]), limits[1]) for code in known)
    return low, high


def _same_codes(graph: Graph, source: int, output: int) -> bool:
    if source < 0 or not is_int8(graph.tensors[source]):
        return False
    first, second = _affine(graph, source), _affine(graph, output)
    return first is not None and second is not None and first.same_codes(second)


def _affine(graph: Graph, index: int) -> Quantization | None:
    try:
        return quantization(graph, index)
    except ModelFileError:
        return None
