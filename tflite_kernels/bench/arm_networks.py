# SPDX-License-Identifier: Apache-2.0
"""Cycles of whole networks on a Cortex-A53, put together from loops: a model, not a measurement.

A layer of `outputs` sums over K products takes, in cycles,

    ours      outputs * (K8 / MAC per cycle of the loop + drains * drain + epilogue)
    XNNPACK   outputs * (K / 3.24 + epilogue), its 4x16 lane kernel for that core
    depthwise outputs * taps / MAC per cycle, for both

with K8 = K rounded up to 8, and the drains of the layer's drain lists, of which there is at least
one: the reduction at the end. Caches, packing, padding and operators that are not layers are left
out, as is what a tile of fewer channels or rows than four wastes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oaq_keras.flatbuffer import read_model, shape
from oaq_keras.int8_layers import int8_layers
from oaq_keras.runtime import Interpreter

EPILOGUE = 1.4
"""Requantization of an output, on either side: an estimate."""
XNNPACK_DENSE = 3.24
XNNPACK_DEPTHWISE = 1.19
"""MAC per cycle of XNNPACK's best kernels without a dot product, on the model of in_order.py."""


@dataclass(frozen=True)
class Layer:
    """What of a layer decides its time.

    Attributes:
      name: of its output.
      outputs: of one inference.
      products: K, of one output.
      filter, stride: of a depthwise convolution; None where it is dense.
      drains: of one output; None where it is not proven to fit.
    """

    name: str
    outputs: int
    products: int
    filter: tuple[int, int] | None
    stride: int
    drains: float | None

    @property
    def macs(self) -> int:
        """Multiplications of one inference."""
        return self.outputs * self.products


@dataclass(frozen=True)
class Dense:
    """What a GEMM loop takes.

    Attributes:
      mac_per_cycle: of the loop.
      drain: cycles an output, from int16 to int32.
    """

    mac_per_cycle: float
    drain: float

    def cycles(self, layer: Layer, drains: float) -> float:
        """Of a layer, drained so often."""
        padded = -(-layer.products // 8) * 8
        each = padded / self.mac_per_cycle + drains * self.drain + EPILOGUE
        return layer.outputs * each


@dataclass(frozen=True)
class Kernels:
    """A set of kernels.

    Attributes:
      name: heads its row.
      int16: for proven layers.
      exact: for any; None where XNNPACK's loop stands for it.
      depthwise: MAC per cycle by filter and stride.
      never_drained: as though every layer fitted without a drain.
    """

    name: str
    int16: Dense
    exact: Dense | None
    depthwise: Callable[[Layer], float]
    never_drained: bool = False

    def cycles(self, layer: Layer) -> float:
        """Of a layer, on the cheaper of the loops that may run it."""
        if layer.filter is not None:
            return layer.macs / self.depthwise(layer)
        exact = xnnpack(layer) if self.exact is None else self.exact.cycles(layer, 1)
        drains = 1.0 if self.never_drained else layer.drains
        return exact if drains is None else min(exact, self.int16.cycles(layer, drains))


HAND = Kernels("an earlier schedule", Dense(6.24, 2.75), None, lambda layer: 2.04)
"""4x4 c8 for A53, and depthwise 3x3 at T = 9: simulated schedules, of no object of ours yet."""
CEILING = Kernels("the same, never drained", HAND.int16, None, HAND.depthwise, never_drained=True)


def xnnpack(layer: Layer) -> float:
    """XNNPACK's cycles."""
    if layer.filter is not None:
        return layer.macs / XNNPACK_DEPTHWISE
    return layer.outputs * (layer.products / XNNPACK_DENSE + EPILOGUE)


def layers(content: bytes) -> list[Layer]:
    """The layers of a file, with the drains that the library plans for layout c8.

    The portable kernels have that layout, and drain lists do not depend on an ISA beside it.
    """
    interpreter = Interpreter(model_content=content, builtin=True, isa="scalar", plan="int16")
    interpreter.allocate_tensors()
    planned = {entry.op: entry for entry in interpreter.plan()}
    model = read_model(content)
    found = []
    for layer in int8_layers(model)[0]:
        entry = planned[layer.op]
        drains = None
        if entry.runs == "int16" and entry.drains and entry.tiles_int16 == entry.tiles:
            drains = entry.drains / (entry.tiles or 1)
        depthwise = layer.kind == "DEPTHWISE_CONV_2D"
        taps = None
        if depthwise:
            _, height, width, _ = shape(model.subgraphs[layer.subgraph], layer.weights)
            taps = (height, width)
        outputs = layer.macs // layer.products
        stride = layer.options.stride_h
        found.append(Layer(layer.name, outputs, layer.products, taps, stride, drains))
    return found


def total(found: list[Layer], cycles: Callable[[Layer], float]) -> dict[str, float]:
    """Cycles of the dense layers, of the depthwise ones, and of all."""
    dense = sum(cycles(layer) for layer in found if layer.filter is None)
    depthwise = sum(cycles(layer) for layer in found if layer.filter is not None)
    return {"dense": dense, "depthwise": depthwise, "all": dense + depthwise}
