# SPDX-License-Identifier: Apache-2.0
"""What the heads of a YOLO network of three anchors a cell stand for (Redmon and Farhadi, v3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helpers.boxes import cornered

Anchors = Sequence[tuple[float, float]]


def decode(
    heads: Sequence[NDArray[np.float32]], anchors: Sequence[Anchors], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and scores of a batch.

    Args:
      heads: [batch, rows, columns, anchors * (5 + classes)], an array for each scale.
      anchors: width and height in pixels of each scale's.
      side: of the network's square input, in pixels.

    Returns:
      Boxes [batch, n, 4], corners in shares of the picture, and scores [batch, n, classes].
    """
    boxes, scores = [], []
    for head, sizes in zip(heads, anchors, strict=True):
        batch, rows, columns, _ = head.shape
        given = head.reshape(batch, rows, columns, len(sizes), -1)
        cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
        centre = (_sigmoid(given[..., :2]) + cells[:, :, None]) / (columns, rows)
        size = np.exp(np.minimum(given[..., 2:4], 8.0)) * np.array(sizes) / side
        found = cornered(np.concatenate([centre, size], axis=-1))
        boxes.append(found.reshape(batch, -1, 4))
        certain = _sigmoid(given[..., 4:5]) * _sigmoid(given[..., 5:])
        scores.append(certain.reshape(batch, -1, certain.shape[-1]))
    return (
        np.concatenate(boxes, axis=1).astype(np.float32),
        np.concatenate(scores, axis=1).astype(np.float32),
    )


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = 0.5 * (1.0 + np.tanh(0.5 * x))
    return found
