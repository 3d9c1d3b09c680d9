# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from oaq_keras.fake_quant import (  # noqa: E402
    fake_quant_closed,
    fake_quant_open,
    fake_quant_weights,
    round_straight_through,
)


@pytest.mark.parametrize("width", [15, 100, 127, 203, 255])
@pytest.mark.parametrize("clip", [0.37, 6.0])
def test_closed_format_has_width_plus_one_codes_from_zero_to_clip(width: int, clip: float) -> None:
    x = np.linspace(0, 2 * clip, 9973, dtype=np.float32)
    y = fake_quant_closed(tf.constant(x), tf.constant(clip), tf.constant(float(width))).numpy()
    codes = np.rint(y * width / clip)
    np.testing.assert_allclose(y, codes * clip / width, rtol=1e-5, atol=1e-6)
    assert set(codes) == set(range(width + 1))
    np.testing.assert_array_equal(np.rint(np.minimum(x, clip) * width / clip - codes), 0)


IMAGES = 6


def _gradients(x: np.ndarray, clip: float, width: float, upstream: np.ndarray) -> list[np.ndarray]:
    variables = [tf.Variable(x), tf.Variable(clip), tf.Variable(width)]
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(fake_quant_closed(*variables) * upstream)
    return [gradient.numpy() for gradient in tape.gradient(y, variables)]


def test_closed_format_has_lsq_gradients() -> None:
    # Images are alike, so that those which are looked at stand for all.
    x = np.tile(np.array([0.0, 0.3137, 0.5021, 0.9282, 1.4], np.float32), (IMAGES, 1))
    upstream = np.tile(np.array([1.0, -2.0, 0.5, 3.0, 0.7], np.float32), (IMAGES, 1))
    clip, width = 1.0, 100.0
    step = clip / width
    inside = x <= clip
    error = np.rint(x / step) - x / step
    dstep = np.sum(upstream * np.where(inside, error, 0.0))
    above = np.sum(upstream * ~inside)
    normal = 1 / np.sqrt(x.size * width)
    dx, dclip, dwidth = _gradients(x, clip, width, upstream)
    np.testing.assert_array_equal(dx, upstream * inside)
    np.testing.assert_allclose(dclip, normal * (above + dstep / width), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(dwidth, normal * dstep * -step / width, rtol=1e-3, atol=1e-8)


def test_a_part_of_the_batch_tells_what_rounding_does() -> None:
    x = np.random.default_rng(1).uniform(0, 1, (8, 5)).astype(np.float32)
    upstream = np.ones_like(x)
    first = _gradients(x, 1.0, 100.0, upstream)
    x[2:] = np.float32(0.5)
    second = _gradients(x, 1.0, 100.0, upstream)
    assert first[1:] == second[1:]
    assert first[2] != 0.0


@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_whole_codes_and_pass_gradients_to_the_scale(per_channel: bool) -> None:
    w = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32)
    scale = np.abs(w).max(axis=(0, 1, 2) if per_channel else None) / 100
    variables = [tf.Variable(w), tf.Variable(scale)]
    with tf.GradientTape() as tape:
        y = fake_quant_weights(*variables)
        loss = tf.reduce_sum(y * y)
    codes = np.rint(w / scale)
    np.testing.assert_allclose(y.numpy(), codes * scale, rtol=1e-5, atol=1e-6)
    dw, dscale = (gradient.numpy() for gradient in tape.gradient(loss, variables))
    np.testing.assert_allclose(dw, 2 * codes * scale, rtol=1e-4, atol=1e-5)
    expected = np.sum(
        2 * codes * scale * (codes - w / scale), axis=(0, 1, 2) if per_channel else None
    )
    np.testing.assert_allclose(dscale, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("value", "upstream", "expected"),
    # Descent moves a value against its gradient.
    [(0.3, 1.0, 1.0), (-2.0, -1.0, -1.0), (-2.0, 1.0, 0.0), (3.0, 1.0, 1.0), (3.0, -1.0, 0.0)],
)
def test_gradients_beyond_an_open_format_lead_back(
    value: float, upstream: float, expected: float
) -> None:
    x = tf.Variable([[value]])
    with tf.GradientTape() as tape:
        y = upstream * tf.reduce_sum(fake_quant_open(x, tf.constant(-1.0), tf.constant(2.0)))
    assert tape.gradient(y, x).numpy() == [[expected]]


def test_rounding_passes_gradients_straight_through() -> None:
    x = tf.Variable([0.4, 2.6])
    with tf.GradientTape() as tape:
        y = round_straight_through(x)
    np.testing.assert_array_equal(y.numpy(), [0.0, 3.0])
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [1.0, 1.0])
