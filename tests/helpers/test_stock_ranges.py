# SPDX-License-Identifier: Apache-2.0
"""Ranges of tfmot's moving averages."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow_model_optimization")

import tensorflow as tf
import tensorflow_model_optimization as tfmot
from helpers.stock_ranges import settle

from oaq_keras._keras import keras


def test_ranges_become_those_of_the_data_and_weights_stay() -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(3, 3, name="second")(x)
    given = keras.Model(inputs, x)
    images = np.random.default_rng(0).uniform(0, 1, (64, 6, 6, 2)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((images, np.zeros(64))).batch(32)
    model = tfmot.quantization.keras.quantize_model(given)
    before = [each.numpy() for each in model.trainable_weights]
    settle(model, data)
    for old, new in zip(before, model.trainable_weights, strict=True):
        assert np.array_equal(old, new)
    scalars = [each for each in model.weights if each.shape == ()]
    found = {each.name.removesuffix(":0"): float(each) for each in scalars}
    assert found["quantize_layer/quantize_layer_max"] == pytest.approx(images.max(), abs=1e-6)
    answers = given(images).numpy()
    largest = np.mean([answers[:32].max(), answers[32:].max()])
    assert found["quant_second/post_activation_max"] == pytest.approx(largest, rel=0.05)
    hidden = keras.Model(inputs, given.layers[1].output)(images).numpy()
    largest = np.mean([hidden[:32].max(), hidden[32:].max()])
    assert found["quant_first/post_activation_max"] == pytest.approx(largest, rel=0.05)
