# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.first_widths import WEIGHT_SHARE
from oaq_keras.formats import MIN_WIDTH
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.quantization import quantize
from oaq_keras.trained import format_tables, weight_quantizers
from tests.keras_models import mixed_network


def _network(inner: float) -> keras.Model:
    """Two convolutions; all weights of the second but one are `inner`, that one is 1."""
    x = inputs = keras.Input((4, 4, 8))
    x = keras.layers.Conv2D(512, 1, activation="relu", name="first")(x)
    x = keras.layers.Conv2D(4, 1, name="second")(x)
    model = keras.Model(inputs, x)
    kernel = np.full((1, 1, 512, 4), inner, np.float32)
    kernel[0, 0, 0] = 1.0
    model.get_layer("second").set_weights([kernel, np.zeros(4, np.float32)])
    return model


def _width(model: keras.Model, **options: object) -> float:
    quantized = quantize(model, **options)
    *_, reader = weight_quantizers(quantized).values()
    (table,) = format_tables(quantized)
    return float(table.width(reader.input_format))


def test_weights_whose_sums_fit_anyway_leave_all_codes() -> None:
    assert _width(_network(1e-3), depth=1) == pytest.approx(255)


def test_the_width_is_that_of_least_cost() -> None:
    model = quantize(_network(0.5), depth=NEVER_DRAINED)
    *_, reader = weight_quantizers(model).values()
    loads = np.asarray(reader.plain_load(1.0))
    (table,) = format_tables(model)
    chosen = float(table.width(reader.input_format))

    def cost(width: float) -> float:
        loss = np.square(np.maximum(width * loads, 1.0)).mean()
        return float((255 / width) ** 2 + WEIGHT_SHARE * loss)

    assert MIN_WIDTH < chosen < 255
    assert cost(chosen) <= min(cost(chosen - 1), cost(chosen + 1))


def test_longer_sums_start_narrower_and_given_widths_stay() -> None:
    model = _network(0.5)
    widths = [_width(model, depth=depth) for depth in (8, 16, 32, NEVER_DRAINED)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]
    assert _width(model, width=99) == pytest.approx(99)
    assert _width(model, overrides={"first": {"width": 98}}) == pytest.approx(98)


def test_every_format_gets_a_width_of_its_own_and_what_no_weights_read_all_codes() -> None:
    keras.utils.set_random_seed(1)
    (table,) = format_tables(quantize(mixed_network(keras), depth=NEVER_DRAINED))
    widths = [round(float(table.width(name))) for name in table.free_widths()]
    assert len(set(widths)) > 3
    x = inputs = keras.Input((8, 8, 3))
    for layer in (
        keras.layers.Conv2D(64, 3, activation="relu", name="read"),
        keras.layers.Conv2D(64, 3, activation="relu", name="averaged"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ):
        x = layer(x)
    (table,) = format_tables(quantize(keras.Model(inputs, x), depth=NEVER_DRAINED))
    assert float(table.width("read")) < 200
    assert float(table.width("averaged")) == pytest.approx(255)


def test_policy_paper_keeps_a_width_that_no_bound_chose() -> None:
    assert _width(_network(0.5), depth=NEVER_DRAINED, policy="paper") == pytest.approx(127)


def test_weights_that_are_not_finite_are_refused_by_name() -> None:
    with pytest.raises(oaq_keras.UnsupportedError, match="'second' has weights that are not"):
        quantize(_network(float("nan")))
