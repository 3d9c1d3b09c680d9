# SPDX-License-Identifier: Apache-2.0
"""SSDLite's anchors, targets, losses and decoding against cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from helpers import ssd
from helpers.annotations import Annotated
from helpers.boxes import cornered

SIDE, CLASSES = 64, 2


def _boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_anchors_of_a_picture_of_64_pixels() -> None:
    levels = ssd.level_anchors(64)
    assert [len(each) for each in levels] == [4 * 4 * 9, 2 * 2 * 6, 1 * 6]
    np.testing.assert_allclose(
        levels[2],
        [
            (0.5, 0.5, scale * ratio**0.5, scale / ratio**0.5)
            for scale in (0.6, 0.85)
            for ratio in (0.5, 1.0, 2.0)
        ],
        rtol=1e-6,
    )
    # The second cell of the first row.
    np.testing.assert_allclose(levels[1][6:12, :2], [(0.75, 0.25)] * 6)


def test_the_network_has_an_output_for_each_anchor() -> None:
    model = ssd.ssdlite(96, 3)
    assert list(model.output_names) == ssd.HEADS
    cells = [(shape[1] * shape[2], shape[3]) for shape in model.output_shape]
    for (count, channels), each in zip(cells[::2], ssd.level_anchors(96), strict=True):
        assert count * channels == len(each) * 3
    for (count, channels), each in zip(cells[1::2], ssd.level_anchors(96), strict=True):
        assert count * channels == len(each) * 4


@pytest.mark.parametrize(
    ("horizontal", "vertical", "expected"),
    [
        (False, False, (0.1, 0.2, 0.4, 0.8)),
        (True, False, (0.6, 0.2, 0.9, 0.8)),
        (False, True, (0.1, 0.2, 0.4, 0.8)),
        (True, True, (0.6, 0.2, 0.9, 0.8)),
    ],
)
def test_boxes_of_mirror_images(
    horizontal: bool, vertical: bool, expected: tuple[float, ...]
) -> None:
    found = ssd.flipped(_boxes((0.1, 0.2, 0.4, 0.8)), horizontal, vertical)
    np.testing.assert_allclose(found, [expected], atol=1e-6)


def test_targets_of_a_box() -> None:
    levels = [_boxes((0.5, 0.5, 0.4, 0.4), (0.5, 0.6, 0.4, 0.4)), _boxes((0.1, 0.1, 0.1, 0.1))]
    # Of the first anchor's size, by a tenth of it lower: overlaps of 0.9 / 1.1 and 0.85 / 1.15.
    box = cornered(_boxes((0.5, 0.54, 0.4, 0.4)))
    classes, codes, others, nothing = ssd.targets(box, np.array([1]), levels, 2)
    np.testing.assert_allclose(classes, [(0, 1, 0.5), (0, 1, 0.5)])
    np.testing.assert_allclose(codes, [(1, 0, 0, 0, 0.5), (-1.5, 0, 0, 0, 0.5)], atol=1e-5)
    np.testing.assert_allclose(others, [(0, 0, 0.5)])
    assert not nothing.any()


def test_an_anchor_that_overlaps_by_less_than_half_counts_for_nothing() -> None:
    levels = [_boxes((0.5, 0.5, 0.4, 0.4), (0.5, 0.65, 0.4, 0.4))]  # 0.25 / 0.55 of each other
    classes, codes = ssd.targets(cornered(levels[0][:1]), np.array([0]), levels, 1)
    np.testing.assert_allclose(classes, [(1, 1), (0, 0)])
    np.testing.assert_allclose(codes[:, 4], [1, 0])


def test_without_objects_all_is_background() -> None:
    levels = ssd.level_anchors(64)
    found = ssd.targets(_boxes(), np.zeros(0, np.int64), levels, 2)
    for classes, codes in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_allclose(classes, np.broadcast_to((0, 0, 1), classes.shape))
        assert not codes.any()


def test_losses_by_hand() -> None:
    focal, huber = ssd.losses(2)[:2]
    wanted = np.array([[(1, 0, 0.5), (0, 0, 2.0), (1, 0, 0)]], np.float32)
    given = np.zeros((1, 1, 3, 2), np.float32)  # a chance of a half each
    each = 0.25 * np.log(2)
    expected = 0.5 * (0.25 * each + 0.75 * each) + 2 * (0.75 * each * 2)
    np.testing.assert_allclose(focal(wanted, given), [expected], rtol=1e-5)
    codes = np.array([[(0, 0, 0.5, 3, 2.0), (9, 9, 9, 9, 0)]], np.float32)
    expected = 2 * (0.5 * 0.25 + 2.5)
    np.testing.assert_allclose(huber(codes, np.zeros((1, 1, 1, 8), np.float32)), [expected])


def test_what_targets_say_is_decoded_to_the_box() -> None:
    levels = ssd.level_anchors(SIDE)
    box = _boxes((0.2, 0.3, 0.5, 0.7))
    found = ssd.targets(box, np.array([1]), levels, CLASSES)
    heads = [
        (20 * x[None, :, :-1] - 10 if i % 2 == 0 else x[None, :, :-1]) for i, x in enumerate(found)
    ]
    boxes, scores = ssd.decode(heads, levels)
    sure = scores[0, :, 1] > 0.99
    assert sure.any()
    np.testing.assert_allclose(boxes[0, sure], np.repeat(box, sure.sum(), axis=0), atol=1e-5)
    assert scores[0, :, 0].max() < 0.01


def test_examples_are_mirrored_with_their_boxes() -> None:
    pixels = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    pixels[0, 8:24, 16:48] = 255
    known = Annotated(
        Path("x.jpg"), 128, 64, _boxes((32, 8, 96, 24)), np.array([1]), np.array([False])
    )
    levels = ssd.level_anchors(SIDE)
    tf.random.set_seed(3)
    data = ssd.examples(pixels, [known], levels, CLASSES)
    assert int(data.cardinality()) == 1
    tops = set()
    for picture, wanted in data.repeat(12):
        codes = [x[None, :, :-1].numpy() for x in wanted]
        boxes, _ = ssd.decode(codes, levels)
        labels = np.concatenate(wanted[::2])
        (box, *_) = boxes[0, labels[:, 1] == 1]
        rows, columns = np.nonzero(picture.numpy()[..., 0] > 0)
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(box * SIDE, seen, atol=1e-3)
        tops.add(int(rows.min()))
    assert tops == {8, 40}
