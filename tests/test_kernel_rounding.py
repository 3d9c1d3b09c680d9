# SPDX-License-Identifier: Apache-2.0
"""Inference in Keras rounds as TFLite's kernels do, here in the integer arithmetic of these."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras, tf
from oaq_keras.kernel_rounding import (
    Sums,
    as_averaged_codes,
    as_scaled_sums,
    is_wanted,
    kernel_rounding,
)
from tests.keras_models import images, mixed_network


def scaled_by_kernel(sums: np.ndarray, factor: float) -> np.ndarray:
    """gemmlowp's SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT."""
    mantissa, exponent = math.frexp(factor)
    multiplier = round(mantissa * 2**31)
    product = sums.astype(object) * multiplier * 2 ** max(exponent, 0)
    high = np.array([int(abs(p) + 2**30) // 2**31 * (1 if p >= 0 else -1) for p in product])
    shift = max(-exponent, 0)
    half = np.where(high >= 0, 1, -1) * (2**shift // 2)
    return np.sign(high + half) * (np.abs(high + half) // 2**shift)


@pytest.mark.parametrize(
    "factor", [0.371284, 0.512343, 0.113737, 0.0625003, 0.0317171, 0.000931, 1.317]
)
@pytest.mark.parametrize("bias", [0.0, 0.031])
def test_sums_round_as_kernels_do(factor: float, bias: float) -> None:
    random = np.random.default_rng(1)
    products = random.integers(-4000, 4000, 20000)
    step, scale = 0.01, 0.01 / factor
    codes = scaled_by_kernel(products + round(bias / step), factor)
    real = (products * step + bias).astype(np.float32)
    moved = as_scaled_sums(real, Sums(tf.constant([step]), tf.constant([bias])), scale).numpy()
    found = np.floor(moved / np.float32(scale) + 0.5)
    assert np.mean(found != codes) < 1e-3
    if 0.02 < factor < 0.4:
        assert np.mean(np.floor(real / np.float32(scale) + 0.5) != codes) > 0.01


def test_what_is_rounded_once_has_no_window() -> None:
    once = as_scaled_sums(tf.constant([0.49]), Sums(0.1, 0.0, twice=False), 1.0)
    twice = as_scaled_sums(tf.constant([0.49]), Sums(0.1, 0.0), 1.0)
    assert once.numpy() == pytest.approx([0.49])
    assert twice.numpy() == pytest.approx([0.5525])


def test_a_channel_without_weights_stays() -> None:
    found = as_scaled_sums(tf.constant([[0.3, 0.3]]), Sums(tf.constant([0.0, 0.1]), 0.0), 1.0)
    assert found.numpy()[0, 0] == np.float32(0.3)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 5])
def test_halves_of_averages_go_away_from_the_code_zero(zero_point: int) -> None:
    codes = np.arange(-128, 127) + 0.5
    expected = np.trunc(codes + np.where(codes > 0, 0.5, -0.5)) - zero_point
    real = ((codes - zero_point) * 0.25).astype(np.float32)
    found = as_averaged_codes(real, 0.25, float(zero_point)).numpy()
    np.testing.assert_array_equal(np.floor(found / 0.25 + 0.5), expected)


def test_folding_a_normalization_moves_step_and_bias() -> None:
    folded = Sums(tf.constant([0.5]), tf.constant([2.0]), twice=False).folded(-3.0, 1.0)
    assert (float(folded.step[0]), float(folded.bias[0]), folded.twice) == (1.5, -5.0, False)


def test_converters_see_fake_quantization_alone() -> None:
    with tf.Graph().as_default():
        assert not is_wanted()
        with kernel_rounding():
            assert is_wanted()
        assert not is_wanted()
    assert is_wanted()


def test_evaluate_and_predict_round_as_the_model_called_at_once() -> None:
    keras.utils.set_random_seed(3)
    model = oaq_keras.post_training_quantize(mixed_network(keras), [images(64)])
    x = images(64, seed=5)
    answers = model(x, training=False).numpy()
    plain = tf.function(lambda given: model(given, training=False))(x).numpy()

    def same(found: np.ndarray) -> float:
        return float(np.mean(np.isclose(found, answers, atol=1e-6).all(-1)))

    assert same(model.predict(x, verbose=0)) > 0.9 > 0.5 > same(plain)
