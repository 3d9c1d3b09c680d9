# SPDX-License-Identifier: Apache-2.0
"""Layers that are left in float: the rest is certified, and the report names them and says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3

import oaq_keras
from oaq_keras._keras import keras
from tests.layer_codes import compare_layers
from tests.runs import answers_of

BOTH = pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])
STEPS = (6, 8)


def _attention(which: Any, x: Any) -> Any:
    return which.layers.MultiHeadAttention(2, 4, name="float")(x, x)


LAYERS = {
    "LayerNormalization": lambda which, x: which.layers.LayerNormalization(name="float")(x),
    "GroupNormalization": lambda which, x: which.layers.GroupNormalization(2, name="float")(x),
    "MultiHeadAttention": _attention,
    "LSTM": lambda which, x: which.layers.LSTM(8, return_sequences=True, name="float")(x),
    "GRU": lambda which, x: which.layers.GRU(8, return_sequences=True, name="float")(x),
    "Bidirectional": lambda which, x: which.layers.Bidirectional(
        which.layers.LSTM(4, return_sequences=True), name="float"
    )(x),
}


def _network(which: Any, kind: str) -> Any:
    inputs = which.Input(STEPS)
    x = which.layers.Conv1D(8, 3, padding="same", activation="relu", name="before")(inputs)
    x = LAYERS[kind](which, x)
    return which.Model(inputs, which.layers.Conv1D(4, 3, name="behind")(x))


@BOTH
@pytest.mark.parametrize("kind", LAYERS)
def test_the_rest_is_certified(which: Any, kind: str) -> None:
    which.utils.set_random_seed(1)
    float_model = _network(which, kind)
    x = np.random.default_rng(0).normal(size=(8, *STEPS)).astype(np.float32)
    model = oaq_keras.quantize(float_model)
    model.compile("sgd", "mse")
    expected = float_model.predict(x, verbose=0)
    model.fit(x, expected, epochs=2, verbose=0)
    with pytest.warns(UserWarning, match="In float: float: "):
        content = oaq_keras.convert(model, batch_size=8)
    certificate = oaq_keras.certify(content)
    assert certificate.proven
    assert len(certificate.layers) == 2
    assert [line.split(":")[0] for line in certificate.in_float] == ["float"]
    assert "in float: float: " in str(certificate)
    (answers,) = answers_of(content, x)
    assert np.abs(answers - expected).max() < 0.1 * np.abs(expected).max()


@BOTH
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_that_are_called_twice_keep_their_weights(which: Any, kind: str) -> None:
    which.utils.set_random_seed(1)
    inner_in = which.Input((6, 8))
    inner = which.Model(inner_in, LAYERS[kind](which, inner_in))
    inputs = which.Input(STEPS)
    x = which.layers.Conv1D(8, 1)(inputs)
    float_model = which.Model(inputs, which.layers.Conv1D(2, 1)(inner(inner(x))))
    x = np.random.default_rng(0).normal(size=(4, *STEPS)).astype(np.float32)
    expected = float_model.predict(x, verbose=0)
    model = oaq_keras.quantize(float_model)
    assert len(model.float_layers) == 2
    oaq_keras.calibrate(model, [x])
    for each in (model, oaq_keras.strip(model)):
        answers = each.predict(x, verbose=0)
        assert np.abs(answers - expected).max() < 0.1 * np.abs(expected).max()
    calls = [layer for layer in model.layers if layer.name in model.float_layers]
    assert len(calls) == 2
    assert len({id(weight) for call in calls for weight in call.weights}) == len(inner.weights)


BEHIND = {
    "ReLU": [keras.layers.ReLU()],
    "BatchNormalization, ReLU": [keras.layers.BatchNormalization(), keras.layers.ReLU(6.0)],
    "AveragePooling1D, ReLU": [keras.layers.AveragePooling1D(2), keras.layers.ReLU()],
    "LeakyReLU": [keras.layers.LeakyReLU(0.1)],
    "softmax": [keras.layers.Softmax()],
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_what_follows_a_float_layer_is_quantized(behind: list[Any]) -> None:
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input(STEPS)
    x = keras.layers.Conv1D(8, 3, name="before")(x)
    for layer in [keras.layers.LayerNormalization(name="float"), *behind]:
        x = layer(x)
    float_model = keras.Model(inputs, keras.layers.Conv1D(4, 1, name="classes")(x))
    images = np.random.default_rng(0).normal(size=(8, *STEPS)).astype(np.float32)
    model = oaq_keras.quantize(float_model)
    oaq_keras.calibrate(model, [images])
    with pytest.warns(UserWarning, match="In float: float: ") as said:
        content = oaq_keras.convert(model, ops="builtin", batch_size=2)
    assert len(said) == 1
    assert oaq_keras.certify(content).proven
    compared = list(compare_layers(model, content, images[:2]))
    assert len(compared) > len(behind)
    assert all(each.largest <= 1 for each in compared)


def test_a_float_layer_at_the_end_is_named() -> None:
    inputs = keras.Input(STEPS)
    x = keras.layers.Conv1D(8, 3)(inputs)
    float_model = keras.Model(inputs, keras.layers.LayerNormalization(name="last")(x))
    model = oaq_keras.quantize(float_model)
    oaq_keras.calibrate(model, [np.ones((4, *STEPS), np.float32)])
    with pytest.warns(UserWarning, match="In float") as said:
        oaq_keras.convert(model)
    assert [str(each.message).split(": ")[1] for each in said] == ["last"]


@pytest.mark.parametrize("steps", [None, 10_000])
def test_long_recurrences_are_refused_by_name(steps: int | None) -> None:
    inputs = keras.Input((steps, 8))
    outputs = keras.layers.Dense(3)(keras.layers.LSTM(4, name="memory")(inputs))
    with pytest.raises(oaq_keras.UnsupportedError, match=r"'memory' is a LSTM over .*steps"):
        oaq_keras.quantize(keras.Model(inputs, outputs))
