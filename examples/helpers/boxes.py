# SPDX-License-Identifier: Apache-2.0
"""Boxes as left, top, right, bottom: their overlap, anchors, and the codes that networks learn."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]

VARIANCES = (0.1, 0.1, 0.2, 0.2)
"""What codes of centres and sizes are divided by (SSD, Liu et al., arXiv 1512.02325)."""


def overlap(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Intersection over union of each box [n, 4] with each of others [m, 4]: [n, m]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.where(union > 0, shared / np.maximum(union, 1e-12), 0.0), np.float32)


def centred(boxes: Boxes) -> Boxes:
    """[..., 4] as centre x, centre y, width, height."""
    size = boxes[..., 2:] - boxes[..., :2]
    return np.concatenate([boxes[..., :2] + size / 2, size], axis=-1)


def cornered(boxes: Boxes) -> Boxes:
    """The inverse of `centred`."""
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def anchors(cells: tuple[int, int], scale: float, ratios: tuple[float, ...]) -> Boxes:
    """Anchors of a feature map, in shares of the picture.

    Args:
      cells: rows and columns.
      scale: square root of an anchor's area, as a share of the picture's side.
      ratios: width by height of the anchors of a cell.

    Returns:
      float32 [rows * columns * ratios, 4], centre x, centre y, width, height, cell by cell.
    """
    rows, columns = cells
    y, x = np.meshgrid(
        (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij"
    )
    sizes = np.array([(scale * r**0.5, scale / r**0.5) for r in ratios], np.float32)
    centres = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    each = (len(centres), len(sizes), 2)
    found = np.empty((*each[:2], 4), np.float32)
    found[..., :2], found[..., 2:] = np.broadcast_to(centres, each), sizes
    return found.reshape(-1, 4)


def encoded(boxes: Boxes, at: Boxes) -> Boxes:
    """Codes of boxes (corners) at anchors (centres and sizes), [n, 4] each."""
    given = centred(boxes)
    codes = [(given[:, :2] - at[:, :2]) / at[:, 2:], np.log(given[:, 2:] / at[:, 2:])]
    return np.asarray(np.concatenate(codes, axis=1) / np.array(VARIANCES), np.float32)


def decoded(codes: Boxes, at: Boxes) -> Boxes:
    """The inverse of `encoded`: corners from codes [..., n, 4] at anchors [n, 4]."""
    given = codes * np.array(VARIANCES, np.float32)
    size = np.exp(np.minimum(given[..., 2:], 4.0)) * at[:, 2:]
    return cornered(np.concatenate([given[..., :2] * at[:, 2:] + at[:, :2], size], axis=-1))


def matched(
    boxes: Boxes, at: Boxes, enough: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which box each anchor is to find.

    An anchor finds the box that it overlaps most, if by `enough`; and each box is found by the
    anchor that overlaps it most, however little.

    Args:
      boxes: [n, 4] corners.
      at: [anchors, 4] centres and sizes.
      enough: least overlap.

    Returns:
      The place of the box, [anchors], and whether there is one.
    """
    if not len(boxes):
        return np.zeros(len(at), np.int64), np.zeros(len(at), np.bool_)
    shared = overlap(cornered(at), boxes)
    place = shared.argmax(axis=1)
    found = shared.max(axis=1) >= enough
    best = shared.argmax(axis=0)
    place[best] = np.arange(len(boxes))
    found[best] = True
    return place, found
