# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oaq_keras import bounded_rounding
from oaq_keras.bounded_rounding import Rounded, damped, error, inflated, round_bounded
from oaq_keras.lane_budgets import lane_budgets, load
from oaq_keras.layouts import C4, C8, CHANNEL, NEVER_DRAINED

Array = np.ndarray[Any, Any]


def moments_of(rng: np.random.Generator, *shape: int) -> Array:
    """Of inputs that resemble each other, as neighbours in an image do."""
    products = shape[-1]
    inputs = rng.normal(size=(*shape[:-1], 3 * products, products))
    inputs += 2.0 * rng.normal(size=(*shape[:-1], 3 * products, 1))
    moments = inputs.swapaxes(-1, -2) @ inputs / (3 * products)
    power = np.trace(moments, axis1=-2, axis2=-1)[..., None, None] / products
    return moments + 0.1 * power * np.eye(products)


def layer(seed: int, channels: int, products: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    weights = rng.laplace(size=(channels, products))
    return weights, np.abs(weights).max(axis=1) / 127, moments_of(rng, products)


CASES = [
    (12, 27, (C8, C4), 4, 255),
    (6, 100, (C8, C4), 16, 255),
    (6, 200, (C8, C4), NEVER_DRAINED, 127),
    (6, 130, (C8,), 16, 127),
    (20, 9, (CHANNEL,), 16, 255),
]


@pytest.mark.parametrize("one_scale", [False, True])
@pytest.mark.parametrize(("channels", "products", "layouts", "depth", "width"), CASES)
def test_fits_exactly_and_loses_less_than_plain_inflation(
    channels: int, products: int, layouts: Any, depth: int, width: int, one_scale: bool
) -> None:
    weights, scale, moments = layer(products, channels, products)
    if one_scale:
        scale = np.full_like(scale, scale.max())
    budgets = lane_budgets([np.arange(products)], layouts, depth, width)
    plain = inflated(weights, scale, moments, budgets, one_scale=one_scale)
    found = round_bounded(weights, scale, moments, budgets, one_scale=one_scale)
    for result in (plain, found):
        assert load(result.codes.astype(int), budgets).max() <= 1.0
        np.testing.assert_allclose(
            result.error, error(weights, result.codes, result.scale, moments), rtol=1e-6
        )
        assert not one_scale or (result.scale == result.scale[0]).all()
    if not one_scale:
        assert (found.error <= plain.error).all()
    assert found.error.sum() < 0.7 * plain.error.sum()


def test_channels_with_inputs_of_their_own() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(16, 9))
    scale = np.abs(weights).max(axis=1) / 127
    moments = moments_of(rng, 16, 9)
    budgets = lane_budgets([np.arange(9)], (CHANNEL,), 16, 255)
    together = round_bounded(weights, scale, moments, budgets)
    assert together.error.sum() < 0.5 * inflated(weights, scale, moments, budgets).error.sum()
    for c in (0, 7):
        alone = round_bounded(weights[c : c + 1], scale[c : c + 1], moments[c], budgets)
        assert alone.error[0] == pytest.approx(together.error[c], rel=0.2)


def test_weights_on_a_grid_that_fits_stay_as_they_are() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(-15, 16, (8, 64))
    scale = rng.uniform(0.01, 0.02, 8)
    budgets = lane_budgets([np.arange(64)], (C8, C4), 16, 255)
    found = round_bounded(codes * scale[:, None], scale, moments_of(rng, 64), budgets)
    np.testing.assert_array_equal(found.codes, codes)


def test_products_are_taken_in_parts_for_speed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, scale, moments = layer(5, 8, 200)
    budgets = lane_budgets([np.arange(200)], (C8, C4), 16, 255)
    parts = round_bounded(weights, scale, moments, budgets)
    monkeypatch.setattr(bounded_rounding, "_AT_ONCE", 200)
    whole = round_bounded(weights, scale, moments, budgets)
    assert (parts.codes == whole.codes).mean() > 0.99
    assert parts.error.sum() == pytest.approx(whole.error.sum(), rel=0.01)


def test_the_same_codes_every_time() -> None:
    weights, scale, moments = layer(1, 8, 80)
    budgets = lane_budgets([np.arange(80)], (C8, C4), 16, 255)
    first, second = (round_bounded(weights, scale, moments, budgets) for _ in range(2))
    np.testing.assert_array_equal(first.codes, second.codes)
    np.testing.assert_array_equal(first.scale, second.scale)


def test_channels_of_zeros_and_inputs_of_zeros() -> None:
    weights, scale, moments = layer(2, 4, 40)
    weights[1] = 0.0
    moments = damped(np.zeros_like(moments))
    budgets = lane_budgets([np.arange(40)], (C8, C4), 16, 255)
    found: Rounded = round_bounded(weights, scale, moments, budgets)
    assert np.isfinite(found.scale).all()
    assert (found.scale > 0).all()
    assert not found.codes[1].any()
