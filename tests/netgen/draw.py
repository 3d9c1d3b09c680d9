# SPDX-License-Identifier: Apache-2.0
"""Draws random networks: a recipe follows from its seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tests.netgen import constants
from tests.netgen.draw_moves import MOVES, Draw, alike
from tests.netgen.network import (
    ACTIVATIONS,
    LAYERS,
    InvalidNetworkError,
    Network,
    Node,
    Shape,
    macs,
    quantizations,
    shapes,
)

OPERATORS = (10, 60)
# So that the reference kernels take milliseconds.
_MACS_A_NETWORK = 1_500_000
_MACS_A_LAYER = 400_000
_ELEMENTS = 5_000
_SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 23)
_CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 16, 17, 19, 24, 31, 32, 33, 47, 64, 96)
_ATTEMPTS = 2_000

Quantization = tuple[float, int]


def draw(seed: int) -> Network:
    """The network of a seed: 10 to 60 operators, at least one of them a layer."""
    return Drawer(seed).network()


class Drawer:
    """A network that grows node by node."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 0])
        self.seed = seed
        self.nodes: list[Node] = []
        self.shapes: list[Shape] = []
        self.quantizations: list[Quantization] = []
        self.macs = 0

    def network(self) -> Network:
        for _ in range(self.pick((1, 1, 1, 2, 3))):
            self.push(self.input())
        wanted = int(np.exp(self.rng.uniform(*np.log(OPERATORS))))
        operators = 0
        kinds, weights = list(_KINDS), np.array([w for _, w in _KINDS.values()])
        # A network whose every tensor grew too large or too small to go on may stay shorter.
        for _ in range(_ATTEMPTS):
            if operators >= wanted:
                break
            layers = any(node.kind in LAYERS for node in self.nodes)
            kind = str(self.rng.choice(kinds, p=weights / weights.sum())) if layers else "CONV_2D"
            before = len(self.nodes)
            made = _KINDS[kind][0](self, kind, self.source())
            if made is None or not self.push(made):
                # Requantizations that were to make the operator's inputs alike.
                self.nodes, self.shapes = self.nodes[:before], self.shapes[:before]
                self.quantizations = self.quantizations[:before]
            operators += len(self.nodes) - before
        return self.without_unread_inputs()

    def push(self, node: Node) -> bool:
        """Append a node if the network stays one, and small."""
        nodes = [*self.nodes, node]
        try:
            shape = shapes(nodes)[-1]
            quantization = quantizations(nodes)[-1]
        except InvalidNetworkError:
            return False
        cost = macs(node, self.shapes[node.inputs[0]], shape) if node.inputs else 0
        if prod(shape) > _ELEMENTS or cost > _MACS_A_LAYER or self.macs + cost > _MACS_A_NETWORK:
            return False
        self.nodes.append(node)
        self.shapes.append(shape)
        self.quantizations.append(quantization)
        self.macs += cost
        return True

    def without_unread_inputs(self) -> Network:
        read = {i for node in self.nodes for i in node.inputs}
        kept = [i for i, n in enumerate(self.nodes) if n.kind != "INPUT" or i in read]
        moved = {old: new for new, old in enumerate(kept)}
        nodes = (self.nodes[i] for i in kept)
        renamed = (Node(**{**vars(n), "inputs": tuple(moved[i] for i in n.inputs)}) for n in nodes)
        return Network(self.seed, tuple(renamed))

    # What the kinds below choose from.

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def source(self) -> int:
        """Mostly a recent node: a deep network with branches."""
        return max(0, len(self.nodes) - 1 - int(self.rng.geometric(0.35) - 1))

    def fresh(self) -> int:
        return int(self.rng.integers(2**31))

    def quantization(self, activation: int = 0) -> Quantization:
        """Scales from tiny to huge, zero points at the ends and between."""
        form = self.rng.random()
        if form < 0.55:
            scale = 2.0 ** self.rng.uniform(-9, -1)
        elif form < 0.8:
            # Products of powers of two are exact: results halfway between two codes occur.
            scale = 2.0 ** int(self.rng.integers(-8, 1))
        elif form < 0.9:
            # An activation's limits must be int32 codes.
            scale = 2.0 ** self.rng.uniform(-24 if activation else -40, -12)
        else:
            scale = 2.0 ** self.rng.uniform(0, 30)
        # zero point 128 - n closes the range after a RELU at n codes
        point = self.pick(
            (-128, -128, 0, 0, 127, -1, 1, -75, 64, int(self.rng.integers(-128, 128)))
        )
        return float(np.float32(scale)), point

    def activation(self) -> int:
        return int(self.pick((0, 0, 0, 1, 1, 2, 3)))

    def input(self) -> Node:
        while True:
            shape = (
                self.pick((1, 1, 1, 2, 3)),
                self.pick(_SIZES),
                self.pick(_SIZES),
                self.pick(_CHANNELS),
            )
            if prod(shape) <= _ELEMENTS // 2:
                return Node(
                    "INPUT", (), *self.quantization(), {"shape": shape, "seed": self.fresh()}
                )


def _layer_options(drawer: Drawer, products: int) -> dict[str, Any]:
    weights = drawer.pick((*constants.WEIGHTS, "laplace", "laplace"))
    # About 40 codes of standard deviation, where the input has 50.
    natural = 40 / (50 * constants.WEIGHTS[weights] * np.sqrt(products))
    form = drawer.rng.random()
    if form < 0.6:
        multiplier = natural * 2 ** drawer.rng.normal(0, 1.5)
        if drawer.chance(0.5):
            # Halfway cases, which the last bit of the scales' product decides.
            multiplier = 2.0 ** np.rint(np.log2(multiplier))
    elif form < 0.75:
        multiplier = natural * 64  # saturates nearly everywhere
    elif form < 0.85:
        multiplier = drawer.pick((0.5, 1.0, 1.0, 2.0, 2.0**-10, 1 - 2.0**-24, 1 + 2.0**-23))
    elif form < 0.95:
        multiplier = 2 ** drawer.rng.uniform(0, 10)
    else:
        multiplier = 2 ** drawer.rng.uniform(-36, -18)
    return {
        "weights": weights,
        "certified": drawer.chance(0.5),
        "seed": drawer.fresh(),
        "multiplier": float(multiplier),
        "per_channel": drawer.chance(0.7),
        "spread": drawer.pick((0, 1, 1, 2, 10)),
        "bias": drawer.pick((0, 10.0, 30.0, 30.0, 100.0, 1e9)),
        "explicit_no_bias": drawer.chance(0.5),
        "activation": drawer.activation(),
    }


def _node(drawer: Drawer, kind: str, inputs: Sequence[int], options: dict[str, Any]) -> Node:
    quantization = drawer.quantization(options.get("activation", int(kind in ACTIVATIONS)))
    return Node(kind, tuple(inputs), *quantization, options)


def _convolution(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    if len(given) != 4:
        return None
    kernel = drawer.pick(([1, 1], [3, 3], [3, 3], [1, 3], [5, 1], [2, 2], [2, 3], [5, 5]))
    plain = drawer.chance(0.6)
    options: dict[str, Any] = {
        "kernel": kernel,
        "stride": [1, 1] if plain else drawer.pick(([1, 1], [2, 2], [1, 2], [3, 1], [2, 3])),
        "dilation": [1, 1] if plain else drawer.pick(([1, 1], [2, 2], [1, 3], [2, 1])),
        "padding": drawer.pick(("SAME", "VALID")),
    }
    products = prod(kernel)
    if kind == "CONV_2D":
        groups = drawer.pick([n for n in range(1, given[3] + 1) if given[3] % n == 0])
        groups = groups if drawer.chance(0.25) else 1
        options["groups"] = groups
        options["channels"] = groups * drawer.pick(_CHANNELS if groups == 1 else (1, 2, 3, 5))
        products *= given[3] // groups
    else:
        options["depth_multiplier"] = drawer.pick((1, 1, 1, 2, 3))
    return _node(drawer, kind, [source], {**options, **_layer_options(drawer, products)})


def _transposed(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    if len(given) != 4:
        return None
    kernel = drawer.pick(([1, 1], [2, 2], [3, 3], [3, 3], [1, 3], [4, 2], [5, 5]))
    stride = drawer.pick(([1, 1], [2, 2], [2, 2], [1, 2], [3, 1], [3, 3]))
    options: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "excess": [int(drawer.rng.integers(s)) for s in stride],
        "padding": drawer.pick(("SAME", "VALID")),
        "channels": drawer.pick(_CHANNELS),
    }
    products = prod(-(-k // s) for k, s in zip(kernel, stride, strict=True)) * given[3]
    return _node(drawer, kind, [source], {**options, **_layer_options(drawer, products)})


def _dense(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    keep = drawer.chance(0.4)
    flatten = not keep and drawer.chance(0.6)
    options = {"channels": drawer.pick(_CHANNELS), "keep_num_dims": keep, "flatten": flatten}
    products = prod(given[1:]) if flatten else given[-1]
    return _node(drawer, kind, [source], {**options, **_layer_options(drawer, products)})


def _sum(drawer: Drawer, kind: str, source: int) -> Node | None:
    inputs = _operands(drawer, source)
    scales = [drawer.quantizations[i][0] for i in inputs] * (2 // len(inputs))
    # TFLite's sums multiply by less than 1 at a precision of 20 bits.
    scale = max(scales) * 2 ** drawer.rng.uniform(-6, 6)
    options = {"activation": drawer.activation(), **_constant(drawer)}
    if kind == "MUL":
        scale = scales[0] * scales[1] / drawer.pick((1 / 64, 1 / 64, 1 / 8, 1.0, 3.0, 2.0**-16))
    if options["activation"] and scale < 2.0**-24:
        options["activation"] = 0
    return Node(kind, inputs, float(np.float32(scale)), drawer.quantization()[1], options)


def _extreme(drawer: Drawer, kind: str, source: int) -> Node | None:
    inputs = alike(drawer, _operands(drawer, source))
    return Node(kind, inputs, options=_constant(drawer)) if inputs else None


def _operands(drawer: Drawer, source: int) -> tuple[int, ...]:
    given = drawer.shapes[source]

    def fits(shape: Shape) -> bool:
        return len(shape) == len(given) and all(
            a in (1, b) for a, b in zip(shape, given, strict=True)
        )

    others = [i for i, shape in enumerate(drawer.shapes) if i != source and fits(shape)]
    return (source, drawer.pick(others)) if others and drawer.chance(0.8) else (source,)


def _constant(drawer: Drawer) -> dict[str, Any]:
    return {"operand": drawer.pick(("scalar", "channel", "full")), "seed": drawer.fresh()}


def _pool(drawer: Drawer, kind: str, source: int) -> Node | None:
    options = {
        "kernel": drawer.pick(([2, 2], [3, 3], [1, 2], [3, 1])),
        "stride": drawer.pick(([1, 1], [2, 2], [1, 2])),
        "padding": drawer.pick(("SAME", "VALID")),
        "activation": drawer.activation(),
    }
    if drawer.quantizations[source][0] < 2.0**-24:
        options["activation"] = 0
    return Node(kind, (source,), options=options)


def _activation(drawer: Drawer, kind: str, source: int) -> Node | None:
    quantization = drawer.quantizations[source] if drawer.chance(0.5) else drawer.quantization(1)
    return Node(kind, (source,), *quantization) if quantization[0] >= 2.0**-24 else None


def _mean(drawer: Drawer, kind: str, source: int) -> Node | None:
    quantization = drawer.quantizations[source] if drawer.chance(0.5) else _near(drawer, source)
    if len(drawer.shapes[source]) != 4:
        return None
    return Node(kind, (source,), *quantization, {"axes": [1, 2], "keep_dims": drawer.chance(0.7)})


def _quantize(drawer: Drawer, kind: str, source: int) -> Node | None:
    return Node(kind, (source,), *_near(drawer, source))


def _leaky_relu(drawer: Drawer, kind: str, source: int) -> Node | None:
    alpha = drawer.pick((0.1, 0.2, 0.0, 1.0, float(drawer.rng.uniform(0, 1.5))))
    return Node(kind, (source,), *_near(drawer, source), {"alpha": alpha})


def _near(drawer: Drawer, source: int) -> Quantization:
    """A scale of the same order: further off, every code would become the same one."""
    scale = drawer.quantizations[source][0] * 2 ** drawer.pick(
        (0, 1, -1, *drawer.rng.uniform(-5, 5, 3))
    )
    return float(np.float32(scale)), drawer.quantization()[1]


_KINDS: dict[str, tuple[Draw, float]] = {
    "CONV_2D": (_convolution, 6),
    "DEPTHWISE_CONV_2D": (_convolution, 4),
    "FULLY_CONNECTED": (_dense, 2),
    "TRANSPOSE_CONV": (_transposed, 1.5),
    "ADD": (_sum, 1.5),
    "SUB": (_sum, 0.5),
    "MUL": (_sum, 1),
    "MINIMUM": (_extreme, 0.7),
    "MAXIMUM": (_extreme, 0.7),
    "MAX_POOL_2D": (_pool, 0.7),
    "AVERAGE_POOL_2D": (_pool, 0.7),
    "RELU": (_activation, 0.6),
    "RELU_N1_TO_1": (_activation, 0.4),
    "RELU6": (_activation, 0.6),
    "MEAN": (_mean, 0.4),
    "QUANTIZE": (_quantize, 0.8),
    "LEAKY_RELU": (_leaky_relu, 0.8),
    **MOVES,
}
