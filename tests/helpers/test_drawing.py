# SPDX-License-Identifier: Apache-2.0
"""Boxes on pictures."""

from __future__ import annotations

import numpy as np
from helpers.drawing import with_boxes


def test_boxes_have_the_colours_of_their_classes() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    boxes = np.array([(5, 5, 20, 30), (30, 10, 50, 30)], np.float32)
    drawn = with_boxes(picture, boxes, [0, 1], 3)
    assert drawn.shape == picture.shape
    red, green = drawn[15, 5], drawn[15, 30]
    assert red[0] > 100
    assert red[1] == red[2] == 0
    assert green[1] > 100
    assert green[0] == green[2] == 0
    assert not drawn[18, 10].any()  # inside
    assert not picture.any()


def test_boxes_at_the_edge_are_drawn() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    drawn = with_boxes(picture, np.array([(0, 0, 10, 10)], np.float32), [0], 1)
    assert drawn[0, 5, 0] > 100
