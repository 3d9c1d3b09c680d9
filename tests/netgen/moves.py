# SPDX-License-Identifier: Apache-2.0
"""Shapes that operators make which only move codes, or put the zero point's code beside them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from tests.netgen.node import Node, Shape, require


def _concatenation(node: Node, given: list[Shape]) -> Shape:
    first, axis = given[0], node.options["axis"]
    require(all(len(shape) == len(first) > axis for shape in given), node)
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in given}
    require(len(rest) == 1, node)
    return (*first[:axis], sum(shape[axis] for shape in given), *first[axis + 1 :])


def _pack(node: Node, given: list[Shape]) -> Shape:
    first, axis = given[0], node.options["axis"]
    require(len(set(given)) == 1 and axis <= len(first), node)
    return (*first[:axis], len(given), *first[axis:])


def _pad(node: Node, given: list[Shape]) -> Shape:
    paddings = node.options["paddings"]
    require(len(paddings) == len(given[0]), node)
    if node.kind == "MIRROR_PAD":
        # REFLECT, mode 0, leaves the edge out.
        most = [size - (node.options["mode"] == 0) for size in given[0]]
        require(all(max(p) <= m for p, m in zip(paddings, most, strict=True)), node)
    return tuple(size + sum(p) for size, p in zip(given[0], paddings, strict=True))


def _reshape(node: Node, given: list[Shape]) -> Shape:
    require(prod(node.options["shape"]) == prod(given[0]), node)
    return tuple(node.options["shape"])


def _squeeze(node: Node, given: list[Shape]) -> Shape:
    axes = node.options["axes"]
    require(all(axis < len(given[0]) and given[0][axis] == 1 for axis in axes), node)
    return tuple(size for axis, size in enumerate(given[0]) if axis not in axes)


def _expand_dims(node: Node, given: list[Shape]) -> Shape:
    axis = node.options["axis"]
    require(axis <= len(given[0]), node)
    return (*given[0][:axis], 1, *given[0][axis:])


def _transpose(node: Node, given: list[Shape]) -> Shape:
    order = node.options["order"]
    require(sorted(order) == list(range(len(given[0]))), node)
    return tuple(given[0][axis] for axis in order)


def _slice(node: Node, given: list[Shape]) -> Shape:
    begin, size = node.options["begin"], node.options["size"]
    require(len(begin) == len(size) == len(given[0]), node)
    # -1: all that is left.
    left = [n - b for n, b in zip(given[0], begin, strict=True)]
    made = tuple(m if n == -1 else n for n, m in zip(size, left, strict=True))
    require(all(n <= m for n, m in zip(made, left, strict=True)), node)
    return made


def _strided_slice(node: Node, given: list[Shape]) -> Shape:
    first = given[0]
    slices = [node.options[name] for name in ("begin", "end", "strides")]
    require(all(len(values) == len(first) for values in slices), node)
    require(all(b < n and e <= n for b, e, n in zip(*slices[:2], first, strict=True)), node)
    return tuple(len(range(*bounds)) for bounds in zip(*slices, strict=True))


def _gather(node: Node, given: list[Shape]) -> Shape:
    axis, indices = node.options["axis"], node.options["indices"]
    require(axis < len(given[0]) and max(indices) < given[0][axis], node)
    return (*given[0][:axis], len(indices), *given[0][axis + 1 :])


def _tile(node: Node, given: list[Shape]) -> Shape:
    require(len(node.options["multiples"]) == len(given[0]), node)
    return tuple(n * m for n, m in zip(given[0], node.options["multiples"], strict=True))


def _broadcast_to(node: Node, given: list[Shape]) -> Shape:
    shape = tuple(node.options["shape"])
    require(len(shape) == len(given[0]), node)
    require(all(n in (1, m) for n, m in zip(given[0], shape, strict=True)), node)
    return shape


def _resize(node: Node, given: list[Shape]) -> Shape:
    require(len(given[0]) == 4, node)
    return (given[0][0], *node.options["size"], given[0][3])


def _space_to_depth(node: Node, given: list[Shape]) -> Shape:
    block = node.options["block"]
    require(len(given[0]) == 4 and given[0][1] % block == given[0][2] % block == 0, node)
    batch, height, width, channels = given[0]
    return batch, height // block, width // block, channels * block * block


def _depth_to_space(node: Node, given: list[Shape]) -> Shape:
    block = node.options["block"]
    require(len(given[0]) == 4 and given[0][3] % (block * block) == 0, node)
    batch, height, width, channels = given[0]
    return batch, height * block, width * block, channels // (block * block)


def _space_to_batch(node: Node, given: list[Shape]) -> Shape:
    blocks, paddings = node.options["blocks"], node.options["paddings"]
    require(len(given[0]) == 4, node)
    padded = [n + sum(p) for n, p in zip(given[0][1:3], paddings, strict=True)]
    require(all(n % b == 0 for n, b in zip(padded, blocks, strict=True)), node)
    inner = (n // b for n, b in zip(padded, blocks, strict=True))
    return (given[0][0] * prod(blocks), *inner, given[0][3])


def _batch_to_space(node: Node, given: list[Shape]) -> Shape:
    blocks, crops = node.options["blocks"], node.options["crops"]
    require(len(given[0]) == 4 and given[0][0] % prod(blocks) == 0, node)
    inner = (n * b - sum(c) for n, b, c in zip(given[0][1:3], blocks, crops, strict=True))
    return (given[0][0] // prod(blocks), *inner, given[0][3])


SHAPES: dict[str, Callable[[Node, list[Shape]], Shape]] = {
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "PAD": _pad,
    "MIRROR_PAD": _pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "TRANSPOSE": _transpose,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "TILE": _tile,
    "BROADCAST_TO": _broadcast_to,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SPACE_TO_DEPTH": _space_to_depth,
    "DEPTH_TO_SPACE": _depth_to_space,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
}
"""By kind; the output has the quantization of the inputs, which must all have the same."""
