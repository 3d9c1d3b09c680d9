# SPDX-License-Identifier: Apache-2.0
"""Draws boxes on pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from helpers.boxes import Boxes


def with_boxes(
    picture: NDArray[np.uint8], boxes: Boxes, classes: Sequence[int], count: int
) -> NDArray[np.uint8]:
    """A picture with boxes in the colours of their classes.

    Args:
      picture: [height, width, 3].
      boxes: [n, 4], corners in pixels.
      classes: of the boxes, 0 to count - 1.
      count: number of classes.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for box, place in zip(boxes, classes, strict=True):
        hue = 360 * int(place) // count
        draw.rectangle([float(x) for x in box], outline=f"hsl({hue}, 100%, 40%)", width=3)
    return np.asarray(image, np.uint8)
