# SPDX-License-Identifier: Apache-2.0
"""Widths at which closed formats start to train, chosen by the weights that read them.

A format of w steps rounds activations with an error that goes with (1 / w)^2, and inflates the
scales of the weights that read it by max(1, rho(w)), with rho in proportion to w. What both cost is

    J(w) = (255 / w)^2 + WEIGHT_SHARE * mean over channels of max(1, rho_c(w))^2

and the width that costs least is taken: wide where sums are drained often, narrow where they are
not. Training moves it from there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.formats import CODES, MIN_WIDTH
from oaq_keras.trained import format_tables, weight_quantizers

WEIGHT_SHARE = 0.35
"""What rounding weights at plain int8 scales costs, by what rounding activations to 256 codes does.

Found on ResNet8 and CIFAR-10 (docs/decisions.md)."""


def choose_first_widths(model: Any) -> None:
    """Sets the widths of a model's closed formats, but for those that were given.

    Args:
      model: from `quantize`, not trained yet.
    """
    readers: dict[str, list[tuple[float, NDArray[np.float64]]]] = {}
    for quantizer in weight_quantizers(model).values():
        if quantizer.input_format is not None:
            loads = np.asarray(quantizer.plain_load(1.0), np.float64)
            readers.setdefault(quantizer.input_format, []).append((quantizer.mac_share, loads))
    for table in format_tables(model):
        for name in table.free_widths():
            table.start_width(name, _least_costly(readers.get(name, [])))


def _least_costly(readers: list[tuple[float, NDArray[np.float64]]]) -> int:
    """The width of least J, readers counting by their share of the MACs; all codes for none."""
    widths = np.arange(MIN_WIDTH, CODES.width + 1)
    total = sum(share for share, _ in readers)
    inflation = np.zeros(len(widths))
    for share, loads in readers:
        squares = np.square(np.maximum(np.outer(widths, loads), 1.0)).mean(axis=1)
        inflation += squares * (share / total if total else 1.0 / len(readers))
    cost = np.square(CODES.width / widths) + WEIGHT_SHARE * inflation
    return int(widths[cost.argmin()])
