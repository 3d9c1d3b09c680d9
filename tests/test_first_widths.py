# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

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


def test_a_network_of_many_layers_gets_widths_of_its_own() -> None:
    (table,) = format_tables(quantize(mixed_network(keras)))
    assert all(MIN_WIDTH <= float(table.width(name)) <= 255 for name in table.free_widths())
