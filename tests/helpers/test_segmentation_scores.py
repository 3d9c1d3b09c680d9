# SPDX-License-Identifier: Apache-2.0
"""Intersection over union against a case worked out by hand, and the colours of masks."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.segmentation_scores import confusion, intersection_over_union, overlaid


def test_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [1, 2, 255, 255]])
    answers = np.array([[0, 1, 1, 1], [0, 2, 0, 3]])
    counts = confusion(truth, answers, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    found = intersection_over_union(counts)
    np.testing.assert_allclose(found[:3], [1 / 3, 2 / 4, 1])
    assert np.isnan(found[3])


def test_a_class_that_is_nowhere_is_no_class() -> None:
    counts = confusion(np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1]), 3)
    np.testing.assert_allclose(intersection_over_union(counts), [2 / 3, 1, np.nan])


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)


def test_colours_of_masks() -> None:
    picture = np.full((1, 4, 3), 100, np.uint8)
    found = overlaid(picture, np.array([[0, 1, 2, 15]]), share=1.0)
    assert found[0].tolist() == [[100] * 3, [128, 0, 0], [0, 128, 0], [192, 128, 128]]
    assert overlaid(picture, np.array([[1, 0, 0, 0]]))[0, 0].tolist() == [114, 50, 50]
