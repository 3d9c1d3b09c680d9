# SPDX-License-Identifier: Apache-2.0
"""Which taps of a transposed convolution meet the same outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def phases(
    size: tuple[int, int], depth: int, strides: tuple[int, int]
) -> tuple[NDArray[np.intp], ...]:
    """The taps that outputs of each phase sum, of filters [height, width, depth].

    Outputs whose positions are equal modulo the stride meet every stride-th row and column, in the
    order of the inputs: what lies above meets the later rows.
    """
    height, width = size
    taps = np.arange(height * width * depth, dtype=np.intp).reshape(height, width, depth)
    return tuple(
        taps[row :: strides[0], column :: strides[1]][::-1, ::-1].reshape(-1)
        for row in range(min(strides[0], height))
        for column in range(min(strides[1], width))
    )
