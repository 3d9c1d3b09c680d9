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


@pytest.mark.parametrize("steps", [None, 10_000])
def test_long_recurrences_are_refused_by_name(steps: int | None) -> None:
    inputs = keras.Input((steps, 8))
    outputs = keras.layers.Dense(3)(keras.layers.LSTM(4, name="memory")(inputs))
    with pytest.raises(oaq_keras.UnsupportedError, match=r"'memory' is a LSTM over .*steps"):
        oaq_keras.quantize(keras.Model(inputs, outputs))
