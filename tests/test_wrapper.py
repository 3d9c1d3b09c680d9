# SPDX-License-Identifier: Apache-2.0
"""Layers in tfmot's wrapper: which of their weights are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.wrapper import wrappers

BOTH = pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])


def _network(which: Any) -> Any:
    inputs = which.Input((8, 8, 3))
    x = which.layers.Conv2D(4, 3, name="conv")(inputs)
    x = which.layers.ReLU()(which.layers.BatchNormalization(name="norm")(x))
    x = which.layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = which.layers.GlobalAveragePooling2D()(x)
    return which.Model(inputs, which.layers.Dense(3, name="classes")(x))


def _fit(model: Any) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(8, 8, 8, 3)).astype(np.float32)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1), "mse")
    model.fit(x, draw.normal(size=(8, 3)), epochs=2, verbose=0)


def _values(model: Any, *names: str) -> list[np.ndarray]:
    """The weights that the float layers have as well, by their names."""
    of_layers = [wrappers(model)[name] for name in names]
    ours = ("kernel:0", "bias:0", "gamma:0", "beta:0", "mean:0", "variance:0")
    return [v.numpy() for layer in of_layers for v in layer.weights if v.name.endswith(ours)]


@BOTH
@pytest.mark.parametrize("when", ["before quantize", "behind it"])
def test_frozen_layers_stay_as_they_are(which: Any, when: str) -> None:
    which.utils.set_random_seed(1)
    frozen = ("conv", "norm", "depthwise")
    float_model = _network(which)
    for name in frozen:
        float_model.get_layer(name).trainable = when != "before quantize"
    model = oaq_keras.quantize(float_model)
    for name in frozen:
        wrappers(model)[name].trainable = False
    before, classes = _values(model, *frozen), _values(model, "classes")
    assert len(before) == 8
    _fit(model)
    for value, was in zip(_values(model, *frozen), before, strict=True):
        np.testing.assert_array_equal(value, was)
    assert all(
        np.any(value != was) for value, was in zip(_values(model, "classes"), classes, strict=True)
    )
    assert oaq_keras.certify(oaq_keras.convert(model)).proven


def test_frozen_layers_have_their_weights_in_the_same_order() -> None:
    float_model = _network(keras)
    names = [v.name for v in oaq_keras.quantize(float_model).get_layer("quant_conv").weights]
    float_model.trainable = False
    frozen = oaq_keras.quantize(float_model).get_layer("quant_conv")
    assert frozen.trainable_weights == []
    frozen.trainable = True
    assert [v.name for v in frozen.weights] == names


def test_layers_train_again_once_they_are_thawed() -> None:
    float_model = _network(keras)
    float_model.get_layer("conv").trainable = False
    model = oaq_keras.quantize(float_model)
    wrappers(model)["conv"].trainable = True
    before = _values(model, "conv")
    _fit(model)
    assert all(
        np.any(value != was) for value, was in zip(_values(model, "conv"), before, strict=True)
    )
