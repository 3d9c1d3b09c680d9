# SPDX-License-Identifier: Apache-2.0
"""What a network's layers ask of kernels, and what a unit of it takes by simulated cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import parts

from oaq_keras.flatbuffer import read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.plan import Plan


@dataclass(frozen=True)
class Work:
    """Of one inference.

    Attributes:
      int16: multiplications of dense layers and convolutions, of the tiles planned for int16.
      exact: of the others.
      depthwise: of depthwise convolutions.
      drained: how often a sum's lanes are drained, of all sums in int16.
      codes: outputs of all layers.
    """

    int16: float
    exact: float
    depthwise: float
    drained: float
    codes: float

    @classmethod
    def of(cls, content: bytes, plan: Plan) -> Work:
        """Of a file, as the kernels planned it."""
        planned = {entry.op: entry for entry in plan if entry.subgraph == 0}
        int16 = exact = depthwise = drained = codes = 0.0
        for layer in int8_layers(read_model(content))[0]:
            entry = planned[layer.op]
            outputs = layer.macs / layer.products
            codes += outputs
            if layer.kind == "DEPTHWISE_CONV_2D":
                depthwise += layer.macs
                continue
            tiles = entry.tiles or 1
            share = (entry.tiles_int16 or 0) / tiles
            int16 += share * layer.macs
            exact += (1 - share) * layer.macs
            drained += outputs * (entry.drains or 0) / tiles
        return cls(int16, exact, depthwise, drained, codes)

    def rates(self, cycles: Mapping[str, int]) -> dict[str, dict[str, float | str]]:
        """What each part reaches, of its cycles: the figure, and what it is of."""
        found: dict[str, dict[str, float | str]] = {}
        for part, amount in (
            (parts.MULTIPLY, self.int16),
            (parts.EXACT, self.exact),
            (parts.DEPTHWISE, self.depthwise),
            (parts.THEIR_DENSE, self.int16 + self.exact),
            (parts.THEIR_DEPTHWISE, self.depthwise),
        ):
            if amount and cycles.get(part):
                found[part] = {"value": amount / cycles[part], "of": "MAC/cycle"}
        if self.drained and cycles.get(parts.DRAIN):
            each = cycles[parts.DRAIN] / self.drained
            found[parts.DRAIN] = {"value": each, "of": "cycles a sum and drain"}
        if self.codes and cycles.get(parts.OUTPUT):
            each = cycles[parts.OUTPUT] / self.codes
            found[parts.OUTPUT] = {"value": each, "of": "cycles a code"}
        return found
