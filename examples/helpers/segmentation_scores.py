# SPDX-License-Identifier: Apache-2.0
"""Mean intersection over union of masks, and pictures of them."""

import numpy as np
from numpy.typing import NDArray


def confusion(
    truth: NDArray[np.integer], answers: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """How many pixels of each class were given each: [classes of truth, classes of answers].

    Pixels whose truth is not 0 to classes - 1 count for nothing.
    """
    if truth.shape != answers.shape:
        raise ValueError(f"Masks of shape {truth.shape}, answers of shape {answers.shape}.")
    counted = truth < classes
    pairs = truth[counted].astype(np.int64) * classes + answers[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def intersection_over_union(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each class of a confusion matrix; nan for classes that the truth has nowhere.

    Over a whole data set there are none of these. Over a part of it, a single pixel answered so
    would count as a class that was never found.
    """
    hits = np.diagonal(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - hits
    return np.where(counts.sum(1) > 0, hits / np.maximum(union, 1), np.nan)


def overlaid(
    picture: NDArray[np.uint8], mask: NDArray[np.integer], share: float = 0.5
) -> NDArray[np.uint8]:
    """A picture [height, width, 3] with the colours of a mask over it; class 0 stays clear.

    Args:
      picture: uint8.
      mask: [height, width] class indices.
      share: of the colour.
    """
    colours = np.array([_colour(place) for place in range(256)], np.float32)[mask]
    over = np.where((mask == 0)[..., None], picture, (1 - share) * picture + share * colours)
    return np.asarray(over.round(), np.uint8)


def _colour(place: int) -> tuple[int, int, int]:
    """VOC's colours: three bits of the index for each of red, green and blue, highest first."""
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (place & 1) << bit
        green |= (place >> 1 & 1) << bit
        blue |= (place >> 2 & 1) << bit
        place >>= 3
    return red, green, blue
