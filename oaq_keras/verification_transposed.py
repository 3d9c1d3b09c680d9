# SPDX-License-Identifier: Apache-2.0
"""What `verify` knows of transposed convolutions: which taps meet the same output.

Shares no code with the exporter, `certify` or the kernels. Plain on purpose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Codes = NDArray[np.int8]


def phases(codes: _Codes, strides: tuple[int, int]) -> list[_Codes]:
    """[channels, taps, taps, depth] of each phase, of codes [channels, height, width, depth].

    An output at position p meets the taps t with (p + padding - t) divisible by the stride, in the
    order of the inputs: what lies above and to the left meets the later taps. A stride beyond the
    filter's taps has outputs that meet none.
    """
    down, right = strides
    return [
        codes[:, row::down, column::right][:, ::-1, ::-1]
        for row in range(min(down, codes.shape[1]))
        for column in range(min(right, codes.shape[2]))
    ]


def merged(codes: _Codes, strides: tuple[int, int], size: tuple[int, int], same: bool) -> _Codes:
    """All phases as one convolution, whose outputs are blocks of stride by stride pixels.

    Args:
      codes: [channels, height, width, depth].
      strides: down and right.
      size: height and width of the output.
      same: whether the padding is SAME, else VALID.

    Returns:
      [strides[0] * strides[1] * channels, taps, taps, depth]; without channels where some outputs
      of a block meet no tap.
    """
    channels, height, width, depth = codes.shape
    if strides[0] > height or strides[1] > width:
        return codes[:0]
    rows = _meetings(strides[0], height, size[0], same)
    columns = _meetings(strides[1], width, size[1], same)
    made = np.zeros((*strides, channels, _reach(rows), _reach(columns), depth), codes.dtype)
    for row, (down, y) in enumerate(rows):
        for column, (right, x) in enumerate(columns):
            made[down, right, :, y, x] = codes[:, row, column]
    return made.reshape(-1, *made.shape[3:])


def _meetings(stride: int, taps: int, size: int, same: bool) -> list[tuple[int, int]]:
    """For each tap along one axis, the element of a block that it adds to, and from which input.

    Inputs are counted from the first that the block meets.
    """
    outputs = -(-size // stride)
    padding = max((outputs - 1) * stride + taps - size, 0) // 2 if same else 0
    elements = [(tap - padding) % stride for tap in range(taps)]
    inputs = [(n + padding - tap) // stride for tap, n in enumerate(elements)]
    return [(n, y - min(inputs)) for n, y in zip(elements, inputs, strict=True)]


def _reach(meetings: list[tuple[int, int]]) -> int:
    return max(y for _, y in meetings) + 1
