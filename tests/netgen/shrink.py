# SPDX-License-Identifier: Apache-2.0
"""Reduces a network that fails to one that still does and has nothing left to take away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.netgen.network import (
    LAYERS,
    InvalidNetworkError,
    Network,
    Node,
    Shape,
    quantizations,
    shapes,
)

Fails = Callable[[Network], bool]
Nodes = list[Node]

# What an option is in the simplest network. Lists of sizes go there step by step.
_SIMPLEST: dict[str, Any] = {
    "kernel": [1, 1],
    "stride": [1, 1],
    "dilation": [1, 1],
    "shape": [1, 1, 1, 1],
    "channels": 1,
    "groups": 1,
    "depth_multiplier": 1,
    "padding": "VALID",
    "activation": 0,
    "per_channel": False,
    "certified": False,
    "spread": 0,
    "bias": 0,
    "explicit_no_bias": False,
    "keep_num_dims": False,
    "flatten": False,
    "operand": "scalar",
    "weights": "one_sign",
    "multiplier": 1.0,
    "seed": 1,
    "multiples": [1],
    "blocks": [1, 1],
    "block": 1,
    "indices": [0],
    "mode": 1,
}
_SIZES = (
    *("kernel", "stride", "dilation", "shape", "channels", "groups", "depth_multiplier"),
    *("multiples", "blocks", "block"),
)
_ZEROS = ("paddings", "crops", "begin")


def shrink(network: Network, fails: Fails, attempts: int = 2_000) -> Network:
    """The smallest network that fails, found by taking away whatever can be.

    Args:
      network: one that fails.
      fails: whether a network does; asked about valid ones only.
      attempts: how often to ask at most.
    """
    left = attempts
    while True:
        for smaller in _valid(network):
            left -= 1
            if left < 0:
                return network
            if fails(smaller):
                network = smaller
                break
        else:
            return network


def _valid(network: Network) -> Iterator[Network]:
    """Simpler networks, those that take away most first."""
    for nodes in _simpler(network):
        try:
            shapes(nodes)
            quantizations(nodes)
        except InvalidNetworkError:
            continue
        if any(node.kind in LAYERS for node in nodes):
            yield Network(network.seed, tuple(nodes))


def _simpler(network: Network) -> Iterator[Nodes]:
    nodes = list(network.nodes)
    outputs = network.outputs
    for i in range(len(nodes)):
        if outputs != [i]:
            yield _live(nodes, [i])
    for output in outputs:
        if len(outputs) > 1:
            yield _live(nodes, [o for o in outputs if o != output])
    sizes, scales = shapes(nodes), quantizations(nodes)
    operators = [i for i in reversed(range(len(nodes))) if nodes[i].kind != "INPUT"]
    for i in operators:
        cut = _put(nodes, i, _as_input(sizes[i], *scales[i]))
        yield _live(cut, outputs)
        yield _live(cut, [*outputs, *nodes[i].inputs])
    for i in operators:
        for source in nodes[i].inputs:
            redirected = [_reading(node, i, source) for node in nodes]
            yield _live(redirected, [source if o == i else o for o in outputs])
    for i, node in enumerate(nodes):
        for simpler in _simpler_nodes(node):
            yield _put(nodes, i, simpler)


def _simpler_nodes(node: Node) -> Iterator[Node]:
    for name, simplest in _SIMPLEST.items():
        given = node.options.get(name, simplest)
        if name in _SIZES:
            yield from (node.having(**{name: sizes}) for sizes in _smaller(given))
        elif given != simplest:
            yield node.having(**{name: simplest})
    for name in _ZEROS:
        given = node.options.get(name, ())
        if np.any(given):
            yield node.having(**{name: np.zeros_like(given).tolist()})
    order = node.options.get("order", ())
    if list(order) != sorted(order):
        yield node.having(order=sorted(order))
    if len(node.inputs) > 1 and "operand" in node.options:
        yield replace(node, inputs=node.inputs[:1])
    for scale in (1.0, 2.0**-4):
        if node.scale not in (1.0, scale):
            yield replace(node, scale=scale)
    if node.zero_point:
        yield replace(node, zero_point=0)


def _smaller(given: int | Sequence[int]) -> Iterator[int | list[int]]:
    """One of the sizes 1, halved, or one less."""
    if isinstance(given, int):
        yield from sorted({1, given // 2, given - 1} - {0, given})
        return
    if any(size > 1 for size in given):
        yield [1] * len(given)
    for i, size in enumerate(given):
        yield from (
            [*given[:i], n, *given[i + 1 :]] for n in sorted({1, size // 2, size - 1} - {0, size})
        )


def _as_input(shape: Shape, scale: float, zero_point: int) -> Node:
    return Node("INPUT", (), scale, zero_point, {"shape": list(shape), "seed": 1})


def _put(nodes: Sequence[Node], position: int, node: Node) -> Nodes:
    return [*nodes[:position], node, *nodes[position + 1 :]]


def _reading(node: Node, old: int, new: int) -> Node:
    return replace(node, inputs=tuple(new if i == old else i for i in node.inputs))


def _live(nodes: Sequence[Node], outputs: Iterable[int]) -> Nodes:
    """What the outputs need, renumbered."""
    needed = set(outputs)
    for i in reversed(range(len(nodes))):
        if i in needed:
            needed.update(nodes[i].inputs)
    moved = {old: new for new, old in enumerate(sorted(needed))}
    return [replace(nodes[old], inputs=tuple(moved[i] for i in nodes[old].inputs)) for old in moved]
