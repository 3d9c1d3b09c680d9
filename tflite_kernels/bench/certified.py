# SPDX-License-Identifier: Apache-2.0
"""Makes an int8 file fit the lanes, for benchmarks: good for timing its sums, not its answers.

python tflite_kernels/bench/certified.py IN OUT [--depth 16] [--ops builtin]

Weight scales grow, unless the file carries a certificate, until every layer is proven for the
ranges that the file has, on ARM and on x86, where depthwise convolutions add pairs of taps that
must not saturate. Training does this with next to no loss (docs/decisions.md); a file made by this
script is good for timing alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oaq_keras.certificate import METADATA, Certificate
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.flatbuffer import Model, get_metadata, read_model, shape, text, write_model
from oaq_keras.inflate import inflate_layer
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL, Layout
from oaq_keras.rewrite import to_builtin_ops, to_custom_ops


@dataclass(frozen=True)
class ChannelPairs(Layout):
    """The layout of depthwise convolutions on x86, for filters of one shape.

    Attributes:
      taps: the order in which a lane takes them, two a step.
    """

    taps: tuple[int, ...] = ()

    def split(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """As `Layout.split`, of `codes` whose taps lie row by row."""
        return super().split(codes[:, self.taps])


def channel_pairs(height: int, width: int) -> ChannelPairs:
    """Taps of a column mirror each other in pairs, and those of the middle row of an odd number."""
    taps = [
        row * width + column
        for top in range(height // 2)
        for column in range(width)
        for row in (top, height - 1 - top)
    ]
    middle = [tap for tap in range(height * width) if tap not in taps]
    taps += [middle[-1 - n // 2 if n % 2 else n // 2] for n in range(len(middle))]
    return ChannelPairs("channel_pairs", lanes=1, products_per_step=2, taps=tuple(taps))


def layouts(model: Model, layer: Int8Layer) -> tuple[Layout, ...]:
    """What a layer has to fit."""
    if layer.kind != "DEPTHWISE_CONV_2D":
        return (C8, C4)
    _, height, width, _ = shape(model.subgraphs[layer.subgraph], layer.weights)
    return (CHANNEL, channel_pairs(height, width))


def certified(content: bytes, depth: int) -> bytes:
    """The file with builtin operators and coarser weights, certified at `depth` throughout.

    A file that carries a certificate of that depth keeps its codes: it was trained to fit.
    """
    model = read_model(to_builtin_ops(content))
    stored = get_metadata(model, METADATA)
    if stored is not None and Certificate.from_json(stored).depth >= depth:
        return write_model(model)
    # A certificate of other codes would be taken for a forged one.
    model.metadata = [one for one in model.metadata or [] if text(one.name) != METADATA]
    for layer in int8_layers(model)[0]:
        inflate_layer(model, layer, layouts(model, layer), depth)
    inflated = write_model(model)
    certificate = certify(inflated, depth=depth, first_layer_depth=depth)
    return attach_certificate(inflated, certificate)


def main() -> int:
    """Reads, certifies, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--ops", choices=("builtin", "custom"), default="builtin")
    given = parser.parse_args()
    content = certified(given.source.read_bytes(), given.depth)
    given.target.write_bytes(content if given.ops == "builtin" else to_custom_ops(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
