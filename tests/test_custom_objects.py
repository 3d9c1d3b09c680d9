# SPDX-License-Identifier: Apache-2.0
"""Layers of the user's own, and what is said of how they are quantized."""

from __future__ import annotations

from typing import Any

import keras as keras3
import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras
from tests.runs import answers_of

SHAPE = (8, 8, 4)


class Shuffle(keras.layers.Layer):
    """Moves channels, as ShuffleNet does."""

    def call(self, inputs: Any) -> Any:
        height, width, channels = inputs.shape[1:]
        split = tf.reshape(inputs, [-1, height * width, 2, channels // 2])
        return tf.reshape(tf.transpose(split, [0, 1, 3, 2]), [-1, height, width, channels])


class Wavy(keras.layers.Layer):
    """What int8 TFLite does not have."""

    def call(self, inputs: Any) -> Any:
        return tf.sin(inputs)


def _scaled(which: Any) -> Any:
    class Scaled(which.layers.Layer):
        """A convolution, and a gain for each channel."""

        def __init__(self, **config: Any) -> None:
            super().__init__(**config)
            self.conv = which.layers.Conv2D(4, 3, padding="same")

        def build(self, shape: Any) -> None:
            self.conv.build(shape)
            self.gain = self.add_weight(name="gain", shape=(4,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            return self.conv(inputs) * self.gain

    return Scaled


def _as_stock(layer: Any) -> Any:
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    gain = keras.layers.DepthwiseConv2D(1, use_bias=False)
    model = keras.Model(inputs, gain(x))
    model.layers[1].set_weights(layer.conv.get_weights())
    gain.set_weights([np.reshape(np.asarray(layer.gain), (1, 1, 4, 1))])
    return model


class Dense(keras.layers.Layer):
    """Holds a product that int8 TFLite has."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.dense = keras.layers.Dense(4)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def _network(layer: Any, which: Any = keras) -> Any:
    inputs = which.Input(SHAPE)
    x = which.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    return which.Model(inputs, which.layers.Conv2D(2, 1)(layer(x)))


def _answers(model: Any, custom: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    quantized = oaq_keras.quantize(model, custom_objects=custom)
    oaq_keras.calibrate(quantized, [x])
    content = oaq_keras.convert(quantized)
    certificate = oaq_keras.certify(content)
    assert certificate.proven
    return certificate, answers_of(content, x)[0], model.predict(x, verbose=0)


@pytest.mark.parametrize("key", [Shuffle, "Shuffle"])
def test_codes_that_pass_through(key: Any) -> None:
    keras.utils.set_random_seed(1)
    certificate, answers, expected = _answers(_network(Shuffle()), {key: "same"})
    assert not certificate.in_float
    assert np.abs(answers - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore:In float")
@pytest.mark.parametrize(
    ("layer", "operator"), [(Wavy, "SIN"), (Dense, "FULLY_CONNECTED"), (Shuffle, "TRANSPOSE")]
)
def test_what_is_to_stay_float(layer: Any, operator: str) -> None:
    keras.utils.set_random_seed(1)
    certificate, answers, expected = _answers(_network(layer(name="own")), {layer: "float"})
    (line,) = certificate.in_float
    assert line.startswith("own: ")
    assert line.endswith("custom_objects says so")
    assert operator in line
    assert len(certificate.layers) == 2
    assert "not int8" not in str(certificate)
    assert np.abs(answers - expected).max() < 0.05 * np.abs(expected).max()


def test_functions_that_fail_are_named() -> None:
    def broken(layer: Any) -> Any:
        return layer.missing

    with pytest.raises(oaq_keras.UnsupportedError, match=r"Shuffle failed on layer 'own'.*missing"):
        oaq_keras.quantize(_network(Shuffle(name="own")), custom_objects={Shuffle: broken})


@pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])
def test_what_stock_layers_compute(which: Any) -> None:
    which.utils.set_random_seed(1)
    layer = _scaled(which)(name="own")
    model = _network(layer, which)
    layer.set_weights([w + 0.3 for w in layer.get_weights()])
    certificate, answers, expected = _answers(model, {"Scaled": _as_stock})
    assert len(certificate.layers) == 4
    assert not certificate.in_float
    assert np.abs(answers - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("custom", [{"Shuffle": "moves"}, {3: "same"}, {Shuffle: None}])
def test_what_is_no_treatment_is_refused(custom: Any) -> None:
    with pytest.raises(ValueError, match="custom_objects is a mapping"):
        oaq_keras.quantize(_network(Shuffle()), custom_objects=custom)


def test_what_reaches_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"speaks of Wavy, and model .* has no such layer"):
        oaq_keras.quantize(_network(Shuffle()), custom_objects={Shuffle: "same", Wavy: "float"})


@pytest.mark.parametrize("found", [None, keras.layers.Dense(3), "model"])
def test_functions_that_return_no_model_are_refused(found: Any) -> None:
    with pytest.raises(oaq_keras.UnsupportedError, match=r"'own'.*functional model"):
        oaq_keras.quantize(
            _network(Shuffle(name="own")), custom_objects={Shuffle: lambda layer: found}
        )
