# SPDX-License-Identifier: Apache-2.0
"""Boxes, anchors and their codes, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import boxes


def _boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
        ((0, 0, 4, 4), (1, 1, 2, 3), 2 / 16),
        ((1, 1, 1, 1), (0, 0, 2, 2), 0.0),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0.0),
    ],
)
def test_overlap(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    found = boxes.overlap(_boxes(first), _boxes(second))
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(expected)


def test_overlap_of_nothing() -> None:
    assert boxes.overlap(_boxes(), _boxes((0, 0, 1, 1))).shape == (0, 1)


def test_centres_and_corners_are_inverse() -> None:
    given = _boxes((1, 2, 5, 10), (0, 0, 1, 1))
    np.testing.assert_allclose(boxes.centred(given)[0], [3, 6, 4, 8])
    np.testing.assert_allclose(boxes.cornered(boxes.centred(given)), given)


def test_anchors_lie_in_their_cells() -> None:
    found = boxes.anchors((1, 2), 0.5, (1.0, 4.0))
    np.testing.assert_allclose(
        found,
        [
            (0.25, 0.5, 0.5, 0.5),
            (0.25, 0.5, 1.0, 0.25),
            (0.75, 0.5, 0.5, 0.5),
            (0.75, 0.5, 1, 0.25),
        ],
    )


def test_codes_are_what_boxes_differ_by() -> None:
    at = _boxes((0.5, 0.5, 0.2, 0.4))
    np.testing.assert_allclose(
        boxes.encoded(boxes.cornered(at), at), _boxes((0, 0, 0, 0)), atol=1e-6
    )
    moved = boxes.cornered(_boxes((0.52, 0.5, 0.2 * np.e, 0.4)))
    np.testing.assert_allclose(boxes.encoded(moved, at), _boxes((1, 0, 5, 0)), atol=1e-5)
    np.testing.assert_allclose(boxes.decoded(boxes.encoded(moved, at), at), moved, atol=1e-6)


def test_wild_codes_stay_finite() -> None:
    at = _boxes((0.5, 0.5, 0.2, 0.4))
    assert np.isfinite(boxes.decoded(_boxes((0, 0, 1e4, -1e4)), at)).all()


def test_each_box_is_found_by_its_best_anchor() -> None:
    at = boxes.centred(_boxes((0, 0, 4, 4), (0, 0, 4, 2), (8, 8, 9, 9), (20, 20, 30, 30)))
    given = _boxes((0, 0, 4, 4), (8, 8, 12, 12))
    place, found = boxes.matched(given, at)
    # The second anchor overlaps the first box by a half; the third is the best of the second box.
    assert found.tolist() == [True, True, True, False]
    assert place[:3].tolist() == [0, 0, 1]


def test_without_boxes_no_anchor_finds_any() -> None:
    _, found = boxes.matched(_boxes(), boxes.anchors((2, 2), 0.5, (1.0,)))
    assert not found.any()
