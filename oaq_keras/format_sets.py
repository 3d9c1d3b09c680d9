# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a file share a format, and in which of these sets it may be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from oaq_keras.flatbuffer import Graph, Model, is_constant, is_int8, kind, quantization
from oaq_keras.formats import ActivationFormat
from oaq_keras.int8_layers import KINDS
from oaq_keras.ranges import PASS_THROUGH, activation_range

_SAME_CODES = {*PASS_THROUGH, "CONCATENATION", "PACK", "MINIMUM", "MAXIMUM"}
_REQUANTIZING = {*KINDS, "ADD", "SUB", "MUL"}
_ANY_SCALE = {*_REQUANTIZING, "MEAN", "SOFTMAX", "LOGISTIC", "DEQUANTIZE", "QUANTIZE"}
_NEVER_NEGATIVE = (1, 3)  # RELU, RELU6


@dataclass
class FormatSet:
    """Tensors between which operators only move or average codes.

    Attributes:
      tensors: indices, in order.
      written: those that an operator requantizes into.
      closed: whether all of these leave a fused ReLU.
    """

    tensors: list[int]
    written: list[int] = field(default_factory=list)
    closed: bool = True


def changeable_sets(model: Model, graph: Graph) -> list[FormatSet]:
    """Sets of int8 tensors of which every operator allows another scale and zero point."""
    parent = list(range(len(graph.tensors)))

    def find(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    fixed = {int(i) for i in (*graph.inputs, *graph.outputs)}
    fixed |= {i for i, tensor in enumerate(graph.tensors) if not is_int8(tensor)}
    activations: dict[int, int] = {}
    for operator in graph.operators:
        name = kind(model, operator)
        inputs = [int(i) for i in operator.inputs if i >= 0]
        outputs = [int(i) for i in operator.outputs]
        int8 = [i for i in (*inputs, *outputs) if is_int8(graph.tensors[i])]
        if name in _SAME_CODES:
            for index in int8[1:]:
                parent[find(index)] = find(int8[0])
            # The codes of a constant would have to change with the format.
            fixed |= {i for i in int8 if is_constant(model, graph, i)}
            continue
        if name not in _ANY_SCALE:
            fixed |= {*inputs, *outputs}
        for index in outputs:
            if name in _REQUANTIZING:
                given = operator.builtinOptions
                activations[index] = int(getattr(given, "fusedActivationFunction", 0))
            else:
                fixed.add(index)
    return _sets(graph, find, fixed, activations)


def relabel(graph: Graph, tensors: Iterable[int], form: ActivationFormat) -> None:
    """Gives tensors another format; whoever writes codes for them requantizes accordingly."""
    for index in tensors:
        given = graph.tensors[index].quantization
        given.scale = np.array([form.scale], np.float32)
        given.zeroPoint = np.array([form.zero_point], np.int64)
        given.min = given.max = None


def _sets(
    graph: Graph, find: Callable[[int], int], fixed: set[int], activations: dict[int, int]
) -> list[FormatSet]:
    unchangeable = {find(i) for i in fixed}
    found: dict[int, FormatSet] = {}
    for index in range(len(graph.tensors)):
        root = find(index)
        if root not in unchangeable:
            found.setdefault(root, FormatSet([])).tensors.append(index)
    for index, activation in activations.items():
        if find(index) in found:
            members = found[find(index)]
            members.written.append(index)
            members.closed &= activation in _NEVER_NEGATIVE
    return [members for members in found.values() if members.written]


def upper_limit(graph: Graph, members: FormatSet) -> float:
    """The largest real value that the set's format holds."""
    affine = quantization(graph, members.written[0])
    top = activation_range(0, affine)[1]
    return float((top - affine.zero_point[0]) * affine.scale[0])
