# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from results.score import answers, divergence, score
from tests.models import small_network


def test_divergence_is_that_of_two_distributions() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.5, 0.25])
    found = divergence(np.log(p).astype(np.float32) + 3, np.log(q).astype(np.float32))
    assert found == pytest.approx((p * np.log(p / q)).sum(), rel=1e-5)
    assert divergence(np.log(p), np.log(p)) == 0.0


def test_interval_is_of_the_paired_difference_of_images() -> None:
    labels = np.array([0, 1, 0, 1])
    before = np.eye(2, dtype=np.float32)[[[0, 0], [1, 1], [0, 0], [0, 0]]]
    after = np.eye(2, dtype=np.float32)[[[0, 0], [1, 0], [0, 0], [0, 0]]]
    found = score(after, before, labels)
    assert (found.top1, found.change) == (0.625, -0.125)
    assert found.interval == pytest.approx(1.96 * 0.25 / 2)
    assert score(before, before, labels).interval == 0.0


def test_answers_are_real_numbers_of_every_image() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 8, 8, 3)).astype(np.uint8)
    found = answers(small_network(), pixels, lambda x: (x.astype(np.float32) - 128) * 0.05)
    assert found.shape == (2, 3, 10)
    assert np.abs(found / 0.5 - np.rint(found / 0.5)).max() < 1e-6
