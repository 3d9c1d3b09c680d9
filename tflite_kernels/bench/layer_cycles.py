# SPDX-License-Identifier: Apache-2.0
"""Cycles of each layer of a network: an inference in pieces, cut where an operator begins.

Our operators begin in a function of a known name. Of XNNPACK, in a library without symbols, it is a
function that is entered as often as there are operators; it is the right one if every layer's
kernels are executed in a piece of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import parts
import symbols
from cycles import Executed
from symbols import Place

BEGINS = "oaq_op_eval"
INFERENCES = 3
"""The first one may set up, and the last one's last piece goes on to the program's end."""
_PER_LAYER = 3
"""So many operators a layer a network has at most."""


def by_layer(
    inference: Executed, num_layers: int, ours: bool, cut: Callable[[Place], list[Executed]]
) -> list[Counter[str]]:
    """Cycles by part, of each layer in turn; empty where the run can't be cut so.

    Args:
      inference: one inference.
      num_layers: convolutions, depthwise ones and dense layers.
      ours: whether these run on our kernels.
      cut: makes pieces of a run with `INFERENCES`, at a place.
    """
    for place in _beginnings(inference, num_layers) if not ours else _our_beginning(inference):
        pieces = cut(place)
        part_of = parts.of_places(sum(pieces, Executed()))
        # What is before the first operator sets up.
        layers = [parts.add_up(piece, part_of) for piece in pieces[1:]]
        layers = [
            Counter({part: n for part, n in layer.items() if part in parts.LAYERS})
            for layer in layers
        ]
        layers = [layer for layer in layers if layer]
        if len(layers) == INFERENCES * num_layers:
            return layers[num_layers : 2 * num_layers]
    return []


def _our_beginning(inference: Executed) -> Iterator[Place]:
    for path in {path for path, _ in inference.counts if Path(path).name == parts.OURS}:
        for start, _, name in symbols.functions(path):
            if name == BEGINS:
                yield path, start


def _beginnings(inference: Executed, num_layers: int) -> list[Place]:
    often = [
        (inference.counts[place], place)
        for place in inference.entries
        if num_layers <= inference.counts[place] <= _PER_LAYER * num_layers
    ]
    return [place for _, place in sorted(often)]
