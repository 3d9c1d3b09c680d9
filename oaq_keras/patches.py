# SPDX-License-Identifier: Apache-2.0
"""What the outputs of a layer read: patches of its input, a few of each image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.custom_ops import LayerOptions

_SAME = 0


def sample_patches(
    inputs: NDArray[Any],
    taps: tuple[int, int],
    options: LayerOptions,
    depthwise: bool,
    group_channels: int,
    positions: NDArray[np.float64],
) -> NDArray[Any]:
    """Patches of one image at some of the output's positions.

    Args:
      inputs: [height, width, channels] real values; padding is 0.
      taps: height and width of the filter.
      options: strides, dilation and padding.
      depthwise: whether every channel is a group of its own.
      group_channels: input channels that a filter reads.
      positions: [patches, 2], each in [0, 1): where in the output, as shares of its height and
        width.

    Returns:
      [patches, groups, products], products in the order of the file's weights.
    """
    height, width, _ = inputs.shape
    same = options.padding == _SAME
    rows, row_count = _window(height, taps[0], options.stride_h, options.dilation_h, same)
    columns, column_count = _window(width, taps[1], options.stride_w, options.dilation_w, same)
    y = (positions[:, 0] * row_count).astype(int)
    x = (positions[:, 1] * column_count).astype(int)
    at_row, at_column = rows[y][:, :, None], columns[x][:, None, :]
    outside = (at_row < 0) | (at_row >= height) | (at_column < 0) | (at_column >= width)
    found = inputs[np.clip(at_row, 0, height - 1), np.clip(at_column, 0, width - 1)]
    found = np.where(outside[..., None], 0, found)
    size = 1 if depthwise else group_channels
    grouped = found.reshape(len(positions), taps[0] * taps[1], -1, size).swapaxes(1, 2)
    return np.asarray(grouped.reshape(len(positions), grouped.shape[1], -1))


def _window(
    size: int, taps: int, stride: int, dilation: int, same: bool
) -> tuple[NDArray[np.intp], int]:
    """[outputs, taps] input positions, and how many outputs there are."""
    reach = (taps - 1) * dilation + 1
    count = -(-size // stride) if same else (size - reach) // stride + 1
    before = max((count - 1) * stride + reach - size, 0) // 2 if same else 0
    starts = np.arange(count)[:, None] * stride - before
    return starts + np.arange(taps) * dilation, count
