# SPDX-License-Identifier: Apache-2.0
"""What a network's layers ask of kernels, and what a unit of it takes by simulated cycles.

Depthwise layers end in codes inside their kernels or in an output stage after them, so that parts
of a whole network tell nothing of either: rates are of layers, each with all that it executes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import parts

from oaq_keras.flatbuffer import read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.plan import Plan

DEPTHWISE = "DEPTHWISE_CONV_2D"
_KERNELS = (*parts.DENSE, parts.DEPTHWISE, parts.OUTPUT, parts.THEIR_DENSE, parts.THEIR_DEPTHWISE)
"""Of a layer: products, drains and output stage, on either side."""


@dataclass(frozen=True)
class Layer:
    """A convolution, a depthwise or a dense one.

    Attributes:
      name: operator and kind.
      is_depthwise: as opposed to the others, which are multiplied as matrices.
      macs: multiplications.
      int16: of these, those of the tiles planned for int16; of dense layers.
      drained: how often a sum's lanes are drained, of all sums in int16; of dense layers.
      codes: outputs.
    """

    name: str
    is_depthwise: bool
    macs: float
    int16: float
    drained: float
    codes: float


def layers_of(content: bytes, plan: Plan) -> list[Layer]:
    """Of a file, as the kernels planned it."""
    planned = {entry.op: entry for entry in plan if entry.subgraph == 0}
    found = []
    for layer in int8_layers(read_model(content))[0]:
        entry, codes = planned[layer.op], layer.macs / layer.products
        name, is_depthwise = f"{layer.op} {layer.kind}", layer.kind == DEPTHWISE
        int16 = drained = 0.0
        if not is_depthwise:
            tiles = entry.tiles or 1
            int16 = layer.macs * (entry.tiles_int16 or 0) / tiles
            drained = codes * (entry.drains or 0) / tiles
        found.append(Layer(name, is_depthwise, layer.macs, int16, drained, codes))
    return found


def work(layers: Sequence[Layer]) -> dict[str, float]:
    """What all of them ask for."""
    dense = [layer for layer in layers if not layer.is_depthwise]
    depthwise = [layer for layer in layers if layer.is_depthwise]
    return {
        "int16": sum(layer.int16 for layer in dense),
        "exact": sum(layer.macs - layer.int16 for layer in dense),
        "dense": sum(layer.macs for layer in dense),
        "depthwise": sum(layer.macs for layer in depthwise),
        "drained": sum(layer.drained for layer in dense),
        "dense_codes": sum(layer.codes for layer in dense),
        "depthwise_codes": sum(layer.codes for layer in depthwise),
    }


def rates(layers: Sequence[Layer], cycles: Sequence[Mapping[str, int]]) -> dict[str, dict]:
    """What the layers reach, of the cycles of each by part.

    Each has the value and what it is of, the kinds of layers whose cycles it counts, and the parts.
    Empty without cycles: layers could not be told apart.
    """
    if not cycles:
        return {}
    amounts = work(layers)
    taken: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for layer, by_part in zip(layers, cycles, strict=True):
        taken[layer.is_depthwise].update(by_part)
    found: dict[str, dict] = {}
    for name, of, amount, is_depthwise, among in (
        ("multiplications", "MAC/cycle", "int16", False, (parts.MULTIPLY,)),
        ("exact sums", "MAC/cycle", "exact", False, (parts.EXACT,)),
        ("drains", "cycles a sum and drain", "drained", False, (parts.DRAIN,)),
        ("output stage", "cycles a code", "dense_codes", False, (parts.OUTPUT,)),
        ("dense, with output stages", "MAC/cycle", "dense", False, _KERNELS),
        ("dense, with rows and driver", "MAC/cycle", "dense", False, parts.LAYERS),
        ("depthwise, with output stages", "MAC/cycle", "depthwise", True, _KERNELS),
        ("depthwise, with rows and driver", "MAC/cycle", "depthwise", True, parts.LAYERS),
    ):
        counted = [part for part in among if taken[is_depthwise][part]]
        total = sum(taken[is_depthwise][part] for part in counted)
        if not total or not amounts[amount]:
            continue
        value = amounts[amount] / total if of == "MAC/cycle" else total / amounts[amount]
        found[name] = {
            "value": value,
            "of": of,
            "amount": amounts[amount],
            "cycles": total,
            "layers": "depthwise" if is_depthwise else "dense",
            "parts": counted,
        }
    return found


def slower(
    names: Sequence[str],
    ours: Sequence[Mapping[str, int]],
    theirs: Sequence[Mapping[str, int]],
) -> list[dict]:
    """Layers that take us more cycles than XNNPACK; none where they could not be told apart."""
    if not ours or not theirs:
        return []
    pairs = zip(names, (sum(row.values()) for row in ours), theirs, strict=True)
    return [
        {"layer": name, "ours": mine, "theirs": other, "ratio": other / mine}
        for name, mine, their_parts in pairs
        if mine > (other := sum(their_parts.values()))
    ]
