# SPDX-License-Identifier: Apache-2.0
"""A network as a recipe: a list of nodes that can be stored, edited and written as a .tflite.

A recipe holds no data. Weights and inputs are drawn from the seeds in it, at whatever shape the
recipe comes to, so that a shrinker may change any number and still have a whole network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tests.netgen import moves
from tests.netgen.node import InvalidNetworkError, Node, Shape, require

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
# Kinds whose output has the quantization of their inputs, which must all have the same.
KEEPS = (
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "MINIMUM",
    "MAXIMUM",
    *moves.SHAPES,
)
ACTIVATIONS = ("RELU", "RELU_N1_TO_1", "RELU6")
# Of a tensor; multipliers up to 2^20 off 1 then leave all products normal float32 numbers.
SCALES = (2.0**-40, 2.0**30)
BINARY = ("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM")


@dataclass(frozen=True)
class Network:
    """Nodes in execution order; outputs are the nodes nobody reads, and those listed."""

    seed: int
    nodes: tuple[Node, ...]

    @property
    def outputs(self) -> list[int]:
        """Nodes that no other node reads."""
        read = {i for node in self.nodes for i in node.inputs}
        return [i for i in range(len(self.nodes)) if i not in read]

    def to_json(self) -> str:
        """The recipe as text."""
        nodes = [{**vars(n), "options": dict(n.options)} for n in self.nodes]
        return json.dumps({"seed": self.seed, "nodes": nodes}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Network:
        """The recipe that `to_json` wrote."""
        given = json.loads(text)
        nodes = (Node(**{**n, "inputs": tuple(n["inputs"])}) for n in given["nodes"])
        return cls(given["seed"], tuple(nodes))


def quantizations(nodes: Sequence[Node]) -> list[tuple[float, int]]:
    """Scale and zero point of every node's output.

    Raises:
      InvalidNetworkError: inputs that must be alike are not, or a scale is out of bounds.
    """
    known: list[tuple[float, int]] = []
    for node in nodes:
        if node.kind not in KEEPS:
            if not SCALES[0] <= node.scale <= SCALES[1]:
                raise InvalidNetworkError(f"{node.kind} with scale {node.scale}")
            known.append((float(np.float32(node.scale)), node.zero_point))
            continue
        given = {known[i] for i in node.inputs}
        if len(given) != 1:
            raise InvalidNetworkError(f"{node.kind} of tensors with other quantizations")
        known.append(given.pop())
    return known


def shapes(nodes: Sequence[Node]) -> list[Shape]:
    """Shape of every node's output.

    Raises:
      InvalidNetworkError: an operator cannot take its inputs, or nothing would be left.
    """
    known: list[Shape] = []
    for node in nodes:
        shape = _shape(node, [known[i] for i in node.inputs])
        if not shape or min(shape) < 1:
            raise InvalidNetworkError(f"{node.kind} of nothing: {shape}")
        known.append(shape)
    return known


def macs(node: Node, given: Shape, output: Shape) -> int:
    """Products that a layer sums; 0 for other kinds."""
    if node.kind == "FULLY_CONNECTED":
        return prod(output) * dense_products(node, given)
    if node.kind not in LAYERS:
        return 0
    products: int = prod(node.options["kernel"])
    if node.kind == "TRANSPOSE_CONV":
        return prod(given) * products * output[3]
    if node.kind == "CONV_2D":
        products *= given[3] // node.options["groups"]
    return prod(output) * products


def dense_products(node: Node, given: Shape) -> int:
    """Length of a FULLY_CONNECTED's rows."""
    return prod(given[1:]) if node.options["flatten"] else given[-1]


def operand_shape(node: Node, given: Shape) -> Shape:
    """Shape of the constant that a binary operator with one input reads."""
    form = node.options["operand"]
    return {"scalar": (1,), "channel": given[-1:]}.get(form, given)


def _shape(node: Node, given: list[Shape]) -> Shape:
    options, kind = node.options, node.kind
    if kind == "INPUT":
        return tuple(options["shape"])
    if kind in moves.SHAPES:
        return moves.SHAPES[kind](node, given)
    first = given[0]
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return _layer_shape(node, first)
    if kind == "TRANSPOSE_CONV":
        return _transposed_shape(node, first)
    if kind == "FULLY_CONNECTED":
        require(len(first) >= 2 and not (options["keep_num_dims"] and options["flatten"]), node)
        rows = (
            first[:-1]
            if options["keep_num_dims"]
            else (prod(first) // dense_products(node, first),)
        )
        return (*rows, options["channels"])
    if kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        return (first[0], *_window(node, first), first[3])
    if kind in BINARY:
        other = given[1] if len(given) > 1 else operand_shape(node, first)
        require(len(other) in (1, len(first)), node)
        try:
            return tuple(int(n) for n in np.broadcast_shapes(first, other))
        except ValueError as error:
            raise InvalidNetworkError(str(error)) from error
    if kind == "MEAN":
        axes = options["axes"]
        require(all(a < len(first) for a in axes), node)
        if options["keep_dims"]:
            return tuple(1 if i in axes else n for i, n in enumerate(first))
        return tuple(n for i, n in enumerate(first) if i not in axes)
    return first  # the activations and QUANTIZE


def _layer_shape(node: Node, given: Shape) -> Shape:
    window, options = _window(node, given), node.options
    if node.kind == "DEPTHWISE_CONV_2D":
        return (given[0], *window, given[3] * options["depth_multiplier"])
    require(given[3] % options["groups"] == options["channels"] % options["groups"] == 0, node)
    return (given[0], *window, options["channels"])


def _transposed_shape(node: Node, given: Shape) -> Shape:
    """The smallest output that a convolution of the same window makes `given` of, and `excess`."""
    require(len(given) == 4, node)
    options, sizes = node.options, []
    for size, taps, stride, excess in zip(
        given[1:3], options["kernel"], options["stride"], options["excess"], strict=True
    ):
        least = 1 if options["padding"] == "SAME" else taps
        sizes.append((size - 1) * stride + least + min(excess, stride - 1))
    return (given[0], *sizes, options["channels"])


def _window(node: Node, given: Shape) -> list[int]:
    require(len(given) == 4, node)
    sizes = []
    dilations = node.options.get("dilation", (1, 1))
    for size, taps, stride, dilation in zip(
        given[1:3], node.options["kernel"], node.options["stride"], dilations, strict=True
    ):
        reach = (taps - 1) * dilation + 1
        same = node.options["padding"] == "SAME"
        sizes.append(-(-size // stride) if same else (size - reach) // stride + 1)
    return sizes
