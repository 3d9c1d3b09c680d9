# SPDX-License-Identifier: Apache-2.0
"""The layers of a model that sum int8 products: what certify proves and rewrite rewrites."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.certificate import SkippedLayer
from oaq_keras.custom_ops import CUSTOM_TO_BUILTIN, LayerOptions, decode_options
from oaq_keras.errors import ModelFileError
from oaq_keras.flatbuffer import (
    Graph,
    Model,
    Operator,
    constant,
    is_constant,
    is_int8,
    kind,
    quantization,
    shape,
    tensor_name,
    type_name,
)
from oaq_keras.ranges import PASS_THROUGH, Range, padded, tensor_ranges, transpose_conv_fuses
from oaq_keras.tflite_schema import schema
from oaq_keras.transposed import phases

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")

_OPTIONS = {
    "CONV_2D": schema.Conv2DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
    "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
}
_RANK = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 4}
_CHANNEL_AXIS = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
}


@dataclass(frozen=True)
class Int8Layer:
    """One int8 layer of a kind in `KINDS`, builtin or Oaq.

    Attributes:
      subgraph, op: where it is; `op` counts the operators of its subgraph.
      name: of the output tensor.
      kind: builtin name, also for Oaq operators.
      custom: whether it is an Oaq operator.
      options: of either form; a builtin's input claim and output limits are the full range.
      input, weights, bias, output: tensor indices; bias is -1 where there is none.
      codes: [channels, taps] int8, in the order the kernels read them.
      phases: which of a channel's taps an output sums: all of them; of TRANSPOSE_CONV, those of one
        phase of the stride (docs/format.md).
      input_range: [lo, hi] of the codes read, padding included.
      macs: multiplications of one invocation.
      first: whether it reads the model's input, straight or through ops that pass codes on.
    """

    subgraph: int
    op: int
    name: str
    kind: str
    custom: bool
    options: LayerOptions
    input: int
    weights: int
    bias: int
    output: int
    codes: NDArray[np.int8]
    phases: tuple[NDArray[np.intp], ...]
    input_range: Range
    macs: int
    first: bool

    @property
    def products(self) -> int:
        """Products of an output, of the longest phase where they differ."""
        return max(phase.size for phase in self.phases)

    def by_phase(self, codes: NDArray[Any]) -> NDArray[Any]:
        """`codes` of this layer, [channels, taps], as [phases, channels, products].

        Shorter phases are filled with zeros, which add nothing to a lane.
        """
        split = np.zeros((len(self.phases), len(codes), self.products), codes.dtype)
        for sums, phase in zip(split, self.phases, strict=True):
            sums[:, : phase.size] = codes[:, phase]
        return split


def int8_layers(model: Model) -> tuple[list[Int8Layer], list[SkippedLayer]]:
    """Every int8 layer of every subgraph in execution order, and what was left out and why.

    Raises:
      ModelFileError: naming the tensor or layer whose shapes, quantization or options no runtime
        could use.
    """
    layers: list[Int8Layer] = []
    skipped: list[SkippedLayer] = []
    for position, graph in enumerate(model.subgraphs):
        ranges = tensor_ranges(model, graph)
        from_input = _reads_input(model, graph)
        written = {int(i) for o in graph.operators for i in o.outputs} | {*map(int, graph.inputs)}
        for op, operator in enumerate(graph.operators):
            name = kind(model, operator)
            custom = name in CUSTOM_TO_BUILTIN
            builtin = CUSTOM_TO_BUILTIN.get(name, name)
            if builtin not in KINDS:
                continue
            tensors = _tensors(graph, operator, builtin, op)
            reason = _reason_to_skip(model, graph, operator, builtin, tensors, written)
            if reason:
                if custom:
                    raise ModelFileError(
                        f"{name} {tensor_name(graph, tensors[3])!r} cannot run: {reason}"
                    )
                skipped.append(SkippedLayer(position, op, tensor_name(graph, tensors[3]), reason))
                continue
            options = (
                decode_options(graph, operator, builtin)
                if custom
                else _builtin_options(model, graph, operator, builtin)
            )
            known = ranges[tensors[0]]
            if builtin == "TRANSPOSE_CONV" or (builtin != "FULLY_CONNECTED" and options.pads):
                known = padded(graph, tensors[0], known)
            codes, macs = _codes(model, graph, tensors, builtin, options)
            taps = shape(graph, tensors[1])
            layers.append(
                Int8Layer(
                    position,
                    op,
                    tensor_name(graph, tensors[3]),
                    builtin,
                    custom,
                    options,
                    *tensors,
                    codes,
                    _phases(taps, options) if builtin == "TRANSPOSE_CONV" else _all(codes),
                    known,
                    macs,
                    tensors[0] in from_input,
                )
            )
    return layers, skipped


def _reads_input(model: Model, graph: Graph) -> set[int]:
    """The subgraph's inputs, and what QUANTIZE and pass-through operators make of them."""
    found = {int(i) for i in graph.inputs}
    sources = {"QUANTIZE": 0, **PASS_THROUGH}
    for operator in graph.operators:
        position = sources.get(kind(model, operator))
        inputs = [] if position is None else [int(i) for i in operator.inputs[position:]]
        if inputs and inputs[0] in found:
            found.update(int(i) for i in operator.outputs)
    return found


def _tensors(graph: Graph, operator: Operator, builtin: str, op: int) -> tuple[int, int, int, int]:
    inputs = [int(i) for i in operator.inputs]
    outputs = [int(i) for i in operator.outputs]
    transposed = builtin == "TRANSPOSE_CONV"
    least = 3 if transposed else 2
    if (
        len(inputs) not in (least, least + 1)
        or len(outputs) != 1
        or min(*inputs[:least], *outputs) < 0
    ):
        expected = "output shape, weights, input" if transposed else "input, weights"
        raise ModelFileError(
            f"operator {op} ({builtin}) has inputs {inputs} and outputs {outputs}; expected "
            f"{expected}, optional bias and one output"
        )
    source = inputs[2] if transposed else inputs[0]
    return source, inputs[1], inputs[least] if len(inputs) > least else -1, outputs[0]


def _reason_to_skip(
    model: Model,
    graph: Graph,
    operator: Operator,
    builtin: str,
    tensors: tuple[int, int, int, int],
    written: set[int],
) -> str:
    source, weights, bias, output = tensors
    for index, role in ((source, "input"), (weights, "weights"), (output, "output")):
        if not is_int8(graph.tensors[index]):
            return f"{role} {tensor_name(graph, index)!r} is {type_name(graph.tensors[index])}"
    if weights in written or not is_constant(model, graph, weights):
        return f"weights {tensor_name(graph, weights)!r} are not constant"
    if builtin == "TRANSPOSE_CONV":
        reason = _reason_to_skip_transposed(model, graph, operator)
        if reason:
            return reason
    if graph.tensors[weights].sparsity is not None:
        return f"weights {tensor_name(graph, weights)!r} are stored sparsely"
    if getattr(operator.builtinOptions, "weightsFormat", 0):
        return f"weights {tensor_name(graph, weights)!r} are stored shuffled"
    if bias >= 0 and graph.tensors[bias].type != schema.TensorType.INT32:
        return f"bias {tensor_name(graph, bias)!r} is {type_name(graph.tensors[bias])}"
    given = graph.tensors[weights].quantization
    if given is not None and given.zeroPoint is not None and np.any(given.zeroPoint):
        return f"weights {tensor_name(graph, weights)!r} have a zero point other than 0"
    return ""


def _reason_to_skip_transposed(model: Model, graph: Graph, operator: Operator) -> str:
    wanted = int(operator.inputs[0])
    if not is_constant(model, graph, wanted):
        return f"output shape {tensor_name(graph, wanted)!r} is not constant"
    activation = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    if activation and not transpose_conv_fuses(model, operator):
        return "its version has no fused activation, yet there is one"
    return ""


def _builtin_options(model: Model, graph: Graph, operator: Operator, builtin: str) -> LayerOptions:
    given = operator.builtinOptions
    code = model.operatorCodes[operator.opcodeIndex]
    name = tensor_name(graph, int(operator.outputs[0]))
    if not isinstance(given, _OPTIONS[builtin]):
        raise ModelFileError(f"{builtin} {name!r} has no {_OPTIONS[builtin].__name__[:-1]}")
    common = (int(code.version), int(given.fusedActivationFunction))
    if builtin == "FULLY_CONNECTED":
        return LayerOptions(*common, keep_num_dims=int(given.keepNumDims))
    window = {
        "padding": int(given.padding),
        "stride_h": int(given.strideH),
        "stride_w": int(given.strideW),
    }
    if builtin != "TRANSPOSE_CONV":
        window["dilation_h"] = int(given.dilationHFactor)
        window["dilation_w"] = int(given.dilationWFactor)
    for key, value in window.items():
        if value < (0 if key == "padding" else 1):
            raise ModelFileError(f"{builtin} {name!r} has {key} {value}, expected 1 or more")
    multiplier = int(given.depthMultiplier) if builtin == "DEPTHWISE_CONV_2D" else 1
    return LayerOptions(*common, **window, depth_multiplier=multiplier)


def _codes(
    model: Model,
    graph: Graph,
    tensors: tuple[int, int, int, int],
    builtin: str,
    options: LayerOptions,
) -> tuple[NDArray[np.int8], int]:
    source, weights, bias, output = tensors
    dimensions = shape(graph, weights, _RANK[builtin])
    channels = dimensions[_CHANNEL_AXIS[builtin]]
    affine = quantization(graph, weights, channels)
    if affine.scale.size > 1 and affine.axis != _CHANNEL_AXIS[builtin]:
        raise ModelFileError(
            f"tensor {tensor_name(graph, weights)!r} has its scales on dimension {affine.axis}, "
            f"expected {_CHANNEL_AXIS[builtin]}"
        )
    quantization(graph, source)
    quantization(graph, output)
    if bias >= 0 and prod(shape(graph, bias)) != channels:
        raise _mismatch(graph, bias, f"{channels} values, one for each output channel")
    codes: NDArray[np.int8] = constant(model, graph, weights)
    if builtin == "FULLY_CONNECTED":
        # The input is not checked against it: sizes left open when the model was exported say 1.
        if prod(shape(graph, output)) % channels:
            raise _mismatch(graph, output, f"a multiple of {channels} values")
    else:
        inputs = shape(graph, source, 4)[3]
        outputs = shape(graph, output, 4)
        if outputs[3] != channels:
            raise _mismatch(graph, output, f"{channels} channels in the last dimension")
        if builtin == "TRANSPOSE_CONV":
            if inputs != dimensions[3]:
                raise _mismatch(graph, source, f"{dimensions[3]} channels in the last dimension")
        elif builtin == "CONV_2D":
            if inputs % dimensions[3] or channels % (inputs // dimensions[3]):
                raise _mismatch(graph, source, f"groups of {dimensions[3]} channels")
        else:
            if dimensions[0] != 1:
                raise _mismatch(graph, weights, "1 as the first dimension")
            if channels != inputs * (options.depth_multiplier or channels // inputs):
                raise _mismatch(graph, source, f"channels that divide {channels} output channels")
            codes = np.moveaxis(codes, 3, 0)
    matrix = np.ascontiguousarray(codes.reshape(channels, -1))
    if builtin == "TRANSPOSE_CONV":
        return matrix, prod(shape(graph, source)) * matrix.size // dimensions[3]
    return matrix, prod(shape(graph, output)) * matrix.shape[1]


def _all(codes: NDArray[np.int8]) -> tuple[NDArray[np.intp], ...]:
    return (np.arange(codes.shape[1], dtype=np.intp),)


def _phases(dimensions: tuple[int, ...], options: LayerOptions) -> tuple[NDArray[np.intp], ...]:
    """Taps that meet the same outputs, of filters [channels, height, width, depth]."""
    _, height, width, depth = dimensions
    return phases((height, width), depth, (options.stride_h, options.stride_w))


def _mismatch(graph: Graph, index: int, expected: str) -> ModelFileError:
    return ModelFileError(
        f"tensor {tensor_name(graph, index)!r} has shape {list(shape(graph, index))}, expected "
        f"{expected}"
    )
