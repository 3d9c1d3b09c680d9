# SPDX-License-Identifier: Apache-2.0
"""Mean average precision against cases worked out by hand, and against pycocotools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pycocotools")

from helpers.annotations import Annotated
from helpers.detection_scores import (
    Detections,
    coco_mean_average_precision,
    suppressed,
    voc_average_precisions,
)

A, B, FAR = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 40.0, 40.0), (60.0, 60.0, 80.0, 80.0)


def _truth(*boxes: tuple[float, ...], classes: list[int] | None = None, hard: int = 0) -> Annotated:
    return Annotated(
        Path("picture.jpg"),
        100,
        100,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes if classes is not None else [0] * len(boxes), np.int64),
        np.arange(len(boxes)) < hard,
    )


def _found(
    *claims: tuple[tuple[float, ...], float], classes: list[int] | None = None
) -> Detections:
    return Detections(
        np.array([box for box, _ in claims], np.float32).reshape(-1, 4),
        np.array([score for _, score in claims], np.float32),
        np.array(classes if classes is not None else [0] * len(claims), np.int64),
    )


CASES = {
    "all found": ([_truth(A, B)], [_found((A, 0.9), (B, 0.8))], 1.0),
    "one missed": ([_truth(A, B)], [_found((A, 0.9))], 0.5),
    "a better one is wrong": ([_truth(A)], [_found((FAR, 0.9), (A, 0.8))], 0.5),
    "a worse one is wrong": ([_truth(A)], [_found((FAR, 0.1), (A, 0.8))], 1.0),
    "found twice": ([_truth(A, B)], [_found((A, 0.9), (A, 0.8), (B, 0.7))], 0.5 + 0.5 * 2 / 3),
    "nothing found": ([_truth(A)], [_found()], 0.0),
    "in another picture": ([_truth(A), _truth()], [_found(), _found((A, 0.9))], 0.0),
    # The first claim meets a difficult object and counts for nothing.
    "difficult": ([_truth(A, B, hard=1)], [_found((A, 0.9), (B, 0.8))], 1.0),
}


@pytest.mark.parametrize(("truth", "found", "expected"), CASES.values(), ids=CASES)
def test_by_hand(truth: list[Annotated], found: list[Detections], expected: float) -> None:
    (precision,) = voc_average_precisions(truth, found, 1)
    assert precision == pytest.approx(expected)
    # COCO's is a mean over 101 recalls: a step of one in a hundred.
    _, at_half = coco_mean_average_precision(truth, found, 1)
    assert at_half == pytest.approx(expected, abs=0.01)


def test_classes_that_are_not_there_count_for_nothing() -> None:
    truth, found = [_truth(A, classes=[1])], [_found((A, 0.9), classes=[1])]
    precisions = voc_average_precisions(truth, found, 3)
    assert np.isnan(precisions[[0, 2]]).all()
    assert precisions[1] == 1.0
    assert coco_mean_average_precision(truth, found, 3) == pytest.approx((1.0, 1.0))


def test_overlap_decides() -> None:
    half = (0.0, 0.0, 10.0, 5.2)
    truth, found = [_truth(A)], [_found((half, 0.9))]
    assert voc_average_precisions(truth, found, 1)[0] == 1.0
    assert voc_average_precisions(truth, found, 1, least_overlap=0.6)[0] == 0.0
    # Of ten overlaps from 0.5 to 0.95 one is reached.
    assert coco_mean_average_precision(truth, found, 1) == pytest.approx((0.1, 1.0))


def test_of_boxes_that_overlap_the_best_stays() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.48], [0.5, 0.5, 1, 1]], np.float32)
    scores = np.array([[0.8, 0.0], [0.9, 0.3], [0.005, 0.7]], np.float32)
    found = suppressed(boxes, scores, (200, 100))
    assert found.classes.tolist() == [0, 1, 1]
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.3])
    np.testing.assert_allclose(found.boxes[:2], [[0, 0, 100, 48], [100, 50, 200, 100]])
