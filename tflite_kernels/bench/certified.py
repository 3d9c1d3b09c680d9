# SPDX-License-Identifier: Apache-2.0
"""Makes an int8 file fit the lanes, for benchmarks: good for timing its sums, not its answers.

python tflite_kernels/bench/certified.py IN OUT [--depth 16] [--ops builtin]

Weight scales grow until every layer is proven for the ranges that the file has. Training does this
with next to no loss (docs/decisions.md); a file made by this script is good for timing alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from oaq_keras.certification import attach_certificate, certify
from oaq_keras.flatbuffer import read_model, write_model
from oaq_keras.inflate import inflate_layer
from oaq_keras.int8_layers import int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL
from oaq_keras.rewrite import to_custom_ops


def certified(content: bytes, depth: int) -> bytes:
    """The file with coarser weights, certified at `depth` throughout."""
    model = read_model(content)
    for layer in int8_layers(model)[0]:
        layouts = (CHANNEL,) if layer.kind == "DEPTHWISE_CONV_2D" else (C8, C4)
        inflate_layer(model, layer, layouts, depth)
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
