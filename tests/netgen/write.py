# SPDX-License-Identifier: Apache-2.0
"""Writes a recipe as a .tflite file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from oaq_keras.flatbuffer import Model
from oaq_keras.inflate import inflate_layer
from oaq_keras.int8_layers import int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL
from tests.models import ModelBuilder
from tests.netgen import constants
from tests.netgen.network import (
    BINARY,
    LAYERS,
    Network,
    Node,
    Shape,
    dense_products,
    operand_shape,
    quantizations,
    shapes,
)

CERTIFIED_DEPTH = 16
_LARGEST_PRODUCT = 128 * 255
_LARGEST_SCALED = 2.0**30
# Runtimes refuse versions that they have not heard of, and read no others differently.
_VERSIONS = {
    **dict.fromkeys(("RESHAPE", "RELU_N1_TO_1", "QUANTIZE", "MEAN"), 1),
    **dict.fromkeys(("SQUEEZE", "EXPAND_DIMS", "DEPTH_TO_SPACE"), 1),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), 3),
    "FULLY_CONNECTED": 9,
    "TRANSPOSE_CONV": 4,
}


@dataclass(frozen=True)
class Written:
    """A network's file.

    Attributes:
      content: of builtin operators.
      tensors: tensor of each node's output.
      operators: position of each node's operator, -1 for inputs.
    """

    content: bytes
    tensors: list[int]
    operators: list[int]


def write(network: Network) -> Written:
    """The file that a recipe describes.

    Raises:
      InvalidNetworkError: it describes none.
    """
    writer = _Writer(network)
    for position in range(len(network.nodes)):
        writer.add(position)
    operators, counted = [], 0
    for node in network.nodes:
        operators.append(-1 if node.kind == "INPUT" else counted)
        counted += node.kind != "INPUT"
    certified = {o for o, n in zip(operators, network.nodes, strict=True) if _certified(n)}
    if certified:
        _certify(writer.builder.model, certified)
    content = writer.builder.build(*(writer.tensors[i] for i in network.outputs))
    return Written(content, writer.tensors, operators)


def _certified(node: Node) -> bool:
    return node.kind in LAYERS and node.options["certified"]


def _certify(model: Model, chosen: set[int]) -> None:
    """Coarser weights for some layers, so that T = 16 is proven for the range of their inputs."""
    # As if it had been read from a file, which takes longer than all the runs of the network.
    model.buffers[0].data = np.zeros(0, np.uint8)
    for layer in int8_layers(model)[0]:
        if layer.op in chosen:
            layouts = [CHANNEL] if layer.kind == "DEPTHWISE_CONV_2D" else [C8, C4]
            inflate_layer(model, layer, layouts, CERTIFIED_DEPTH)
    model.buffers[0].data = None


class _Writer:
    def __init__(self, network: Network) -> None:
        self.builder = ModelBuilder()
        self.tensors: list[int] = []
        self._nodes = network.nodes
        self._shapes = shapes(network.nodes)
        self._quantizations = quantizations(network.nodes)

    def add(self, position: int) -> None:
        node = self._nodes[position]
        scale, zero_point = self._quantizations[position]
        name = f"{position}_{node.kind.lower()}"
        output = self.builder.tensor(name, self._shapes[position], scale, zero_point)
        self.tensors.append(output)
        if node.kind == "INPUT":
            self.builder.graph.inputs.append(output)
            return
        reads = [self.tensors[i] for i in node.inputs]
        constant, options = self._parts(node, position)
        inputs = reads + constant
        if node.kind == "TRANSPOSE_CONV":
            wanted = np.asarray(self._shapes[position], np.int32)
            weights, *bias = constant
            inputs = [self._constant(wanted, None, "int32"), weights, *reads, *bias]
        self.builder.op(node.kind, inputs, output, options)
        version = _VERSIONS.get(node.kind)
        if version is not None:
            self.builder.model.operatorCodes[-1].version = version

    def _parts(self, node: Node, position: int) -> tuple[list[int], Any]:
        """Constant inputs and builtin options of an operator."""
        if node.kind in LAYERS:
            return self._layer(node, position), _OPTIONS[node.kind](node)
        constant: list[int] = []
        if node.kind in BINARY and len(node.inputs) == 1:
            constant = [self._operand(node)]
        elif node.kind in _INDICES:
            for name in _INDICES[node.kind]:
                data = np.asarray(node.options[name], np.int32)
                constant.append(self._constant(data, None, "int32"))
        make = _OPTIONS.get(node.kind)
        return constant, None if make is None else make(node)

    def _constant(
        self,
        data: np.ndarray[Any, Any],
        scale: Any,
        dtype: str = "int8",
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        name = f"constant_{len(self.builder.graph.tensors)}"
        return self.builder.tensor(name, data.shape, scale, zero_point, data, dtype, axis)

    def _operand(self, node: Node) -> int:
        scale, zero_point = self._quantizations[node.inputs[0]]
        codes = constants.operand(
            node.options["seed"], operand_shape(node, self._shapes[node.inputs[0]])
        )
        return self._constant(codes, scale, zero_point=zero_point)

    def _layer(self, node: Node, position: int) -> list[int]:
        options, given = node.options, self._shapes[node.inputs[0]]
        shape, axis = _weights_shape(node, given)
        channels, seed = shape[axis], options["seed"]
        codes = constants.weights(options["weights"], seed, shape, axis)
        source, target = self._quantizations[node.inputs[0]][0], self._quantizations[position][0]
        # Scales that make the real multiplier input * weights / output the one asked for.
        count = channels if options["per_channel"] else 1
        multipliers = options["multiplier"] * constants.spread(seed, count, options["spread"])
        largest_bias = options["bias"] / float(multipliers.min())
        if node.kind == "FULLY_CONNECTED":
            # Its scaled sum must fit int32: the reference converts a double, and what lies outside
            # is undefined in C. (Compiled, it is the least int32 on x86, the nearest on ARM.)
            largest_sum = _LARGEST_PRODUCT * shape[1]
            multipliers = np.minimum(multipliers, _LARGEST_SCALED / largest_sum)
            room = _LARGEST_SCALED / float(multipliers.max()) - largest_sum
            largest_bias = min(largest_bias, room)
        scales = (multipliers * target / source).astype(np.float32)
        weights = self._constant(codes, scales, axis=axis)
        if options["bias"] == 0 and node.kind != "CONV_2D":
            # Of the three, runtimes take -1 for a bias in FULLY_CONNECTED alone.
            absent = node.kind == "FULLY_CONNECTED" and options["explicit_no_bias"]
            return [weights, -1] if absent else [weights]
        bias = constants.biases(seed, channels, largest_bias)
        return [weights, self._constant(bias, np.float32(source) * scales, "int32")]


def _weights_shape(node: Node, given: Shape) -> tuple[Shape, int]:
    options = node.options
    if node.kind == "FULLY_CONNECTED":
        return (options["channels"], dense_products(node, given)), 0
    if node.kind == "CONV_2D":
        return (options["channels"], *options["kernel"], given[3] // options["groups"]), 0
    if node.kind == "TRANSPOSE_CONV":
        return (options["channels"], *options["kernel"], given[3]), 0
    return (1, *options["kernel"], given[3] * options["depth_multiplier"]), 3


def _window_options(made: Any, node: Node) -> Any:
    made.padding = getattr(schema.Padding, node.options["padding"])
    made.strideH, made.strideW = node.options["stride"]
    made.fusedActivationFunction = node.options["activation"]
    return made


def _convolution(made: Any) -> Callable[[Node], Any]:
    def options(node: Node) -> Any:
        filled = _window_options(made(), node)
        filled.dilationHFactor, filled.dilationWFactor = node.options["dilation"]
        if node.kind == "DEPTHWISE_CONV_2D":
            filled.depthMultiplier = node.options["depth_multiplier"]
        return filled

    return options


def _pool(node: Node) -> Any:
    made = _window_options(schema.Pool2DOptionsT(), node)
    made.filterHeight, made.filterWidth = node.options["kernel"]
    return made


def _pack(node: Node) -> Any:
    made = schema.PackOptionsT()
    made.valuesCount, made.axis = len(node.inputs), node.options["axis"]
    return made


def _plain(made: Any, **fields: str) -> Callable[[Node], Any]:
    """Options whose fields are the node's options under other names."""

    def options(node: Node) -> Any:
        filled = made()
        for theirs, ours in fields.items():
            setattr(filled, theirs, node.options[ours])
        return filled

    return options


_OPTIONS: dict[str, Callable[[Node], Any]] = {
    "CONV_2D": _convolution(schema.Conv2DOptionsT),
    "DEPTHWISE_CONV_2D": _convolution(schema.DepthwiseConv2DOptionsT),
    "TRANSPOSE_CONV": lambda node: _window_options(schema.TransposeConvOptionsT(), node),
    "FULLY_CONNECTED": _plain(
        schema.FullyConnectedOptionsT,
        fusedActivationFunction="activation",
        keepNumDims="keep_num_dims",
    ),
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "ADD": _plain(schema.AddOptionsT, fusedActivationFunction="activation"),
    "SUB": _plain(schema.SubOptionsT, fusedActivationFunction="activation"),
    "MUL": _plain(schema.MulOptionsT, fusedActivationFunction="activation"),
    "MINIMUM": _plain(schema.MaximumMinimumOptionsT),
    "MAXIMUM": _plain(schema.MaximumMinimumOptionsT),
    "CONCATENATION": _plain(
        schema.ConcatenationOptionsT, axis="axis", fusedActivationFunction="activation"
    ),
    "PAD": _plain(schema.PadOptionsT),
    "MIRROR_PAD": _plain(schema.MirrorPadOptionsT, mode="mode"),
    "PACK": _pack,
    "SQUEEZE": _plain(schema.SqueezeOptionsT, squeezeDims="axes"),
    "EXPAND_DIMS": _plain(schema.ExpandDimsOptionsT),
    "TRANSPOSE": _plain(schema.TransposeOptionsT),
    "SLICE": _plain(schema.SliceOptionsT),
    "GATHER": _plain(schema.GatherOptionsT, axis="axis"),
    "TILE": _plain(schema.TileOptionsT),
    "BROADCAST_TO": _plain(schema.BroadcastToOptionsT),
    "SPACE_TO_DEPTH": _plain(schema.SpaceToDepthOptionsT, blockSize="block"),
    "DEPTH_TO_SPACE": _plain(schema.DepthToSpaceOptionsT, blockSize="block"),
    "SPACE_TO_BATCH_ND": _plain(schema.SpaceToBatchNDOptionsT),
    "BATCH_TO_SPACE_ND": _plain(schema.BatchToSpaceNDOptionsT),
    "RESHAPE": _plain(schema.ReshapeOptionsT, newShape="shape"),
    "MEAN": _plain(schema.ReducerOptionsT, keepDims="keep_dims"),
    "QUANTIZE": _plain(schema.QuantizeOptionsT),
    "LEAKY_RELU": _plain(schema.LeakyReluOptionsT, alpha="alpha"),
    "STRIDED_SLICE": _plain(schema.StridedSliceOptionsT),
    "RESIZE_NEAREST_NEIGHBOR": _plain(
        schema.ResizeNearestNeighborOptionsT,
        alignCorners="align_corners",
        halfPixelCenters="half_pixel_centers",
    ),
}
# Integer constants that an operator reads after its input: the node's options.
_INDICES = {
    "PAD": ("paddings",),
    "MIRROR_PAD": ("paddings",),
    "RESHAPE": ("shape",),
    "MEAN": ("axes",),
    "EXPAND_DIMS": ("axis",),
    "TRANSPOSE": ("order",),
    "SLICE": ("begin", "size"),
    "STRIDED_SLICE": ("begin", "end", "strides"),
    "GATHER": ("indices",),
    "TILE": ("multiples",),
    "BROADCAST_TO": ("shape",),
    "RESIZE_NEAREST_NEIGHBOR": ("size",),
    "SPACE_TO_BATCH_ND": ("blocks", "paddings"),
    "BATCH_TO_SPACE_ND": ("blocks", "crops"),
}
