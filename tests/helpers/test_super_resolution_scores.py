# SPDX-License-Identifier: Apache-2.0
"""Luminance and PSNR, against values worked out by hand and TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from helpers.super_resolution_scores import luminance, psnr, resized


@pytest.mark.parametrize(
    ("colour", "level"),
    [((0, 0, 0), 16.0), ((255, 255, 255), 235.0), ((255, 0, 0), 81.481), ((0, 0, 255), 40.966)],
)
def test_luminance_is_that_of_bt_601(colour: tuple[int, int, int], level: float) -> None:
    picture = np.full((2, 3, 3), colour, np.uint8)
    assert luminance(picture) == pytest.approx(np.full((2, 3), level), abs=1e-3)


def test_psnr_of_an_error_of_one_level() -> None:
    plane = np.full((4, 4), 100.0, np.float32)
    # 20 log10(255) dB for a mean square of 1; half an error rounds to even.
    assert psnr(plane, plane + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(plane, plane) == np.inf


def test_psnr_agrees_with_tensorflow() -> None:
    draw = np.random.default_rng(0)
    truth, answer = draw.integers(0, 256, (2, 20, 30)).astype(np.float32)
    expected = tf.image.psnr(truth[2:-2, 2:-2, None], answer[2:-2, 2:-2, None], 255.0)
    assert psnr(truth, answer, 2) == pytest.approx(float(expected), abs=1e-3)


def test_answers_are_rounded_and_clipped() -> None:
    truth = np.full((2, 2), 255.0, np.float32)
    assert psnr(truth, truth + 40.0) == np.inf
    assert psnr(truth, truth - 0.3) == np.inf


def test_planes_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\)"):
        psnr(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32))


def test_resizing_keeps_flat_planes_flat() -> None:
    assert resized(np.full((6, 8), 7.0, np.float32), (3, 4)) == pytest.approx(np.full((3, 4), 7.0))
