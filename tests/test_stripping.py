# SPDX-License-Identifier: Apache-2.0
"""Stripped models: stock layers, with the weights that the exported file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras
from tests import networks
from tests.networks import answers_of, inputs_of

NETWORKS = {
    each.__name__: each
    for each in (networks.shared_kinds, networks.several, networks.constants, networks.activations)
}


def _sequence(which: Any) -> Any:
    inputs = which.Input((12, 4))
    x = which.layers.Conv1D(8, 3, activation="relu")(inputs)
    return which.Model(inputs, which.layers.Dense(3)(which.layers.GlobalMaxPooling1D()(x)))


NETWORKS["sequence"] = _sequence


@pytest.fixture(params=NETWORKS)
def trained(request: pytest.FixtureRequest) -> tuple[Any, list[np.ndarray]]:
    keras.utils.set_random_seed(1)
    float_model = NETWORKS[request.param](keras)
    inputs = inputs_of(float_model)
    model = oaq_keras.quantize(float_model)
    oaq_keras.calibrate(model, [inputs if len(inputs) > 1 else inputs[0]])
    return model, inputs


def test_stripped_models_are_of_stock_layers(
    trained: tuple[Any, list[np.ndarray]], tmp_path: Path
) -> None:
    model, inputs = trained
    stripped = oaq_keras.strip(model)
    assert {type(layer).__module__.split(".")[0] for layer in stripped.layers} == {"tf_keras"}
    for answer, expected in zip(
        answers_of(stripped, inputs), answers_of(model, inputs), strict=True
    ):
        assert np.abs(answer - expected).max() < 0.05 * np.abs(expected).max()
    stripped.save(tmp_path / "stripped.keras")
    loaded = keras.models.load_model(tmp_path / "stripped.keras")
    for answer, expected in zip(
        answers_of(loaded, inputs), answers_of(stripped, inputs), strict=True
    ):
        np.testing.assert_array_equal(answer, expected)


def test_kernels_are_codes_times_scales(trained: tuple[Any, list[np.ndarray]]) -> None:
    model, _ = trained
    stripped = oaq_keras.strip(model)
    kernels = [v for v in stripped.weights if "kernel" in v.name]
    assert kernels
    for kernel in kernels:
        values = kernel.numpy().reshape(-1, kernel.shape[-1])
        if "depthwise" in kernel.name:
            values = kernel.numpy().reshape(values.shape[0] // kernel.shape[-2], -1)
        for channel in values.T:
            assert len(np.unique(np.abs(channel[channel != 0]))) <= 127


def test_half_precision_takes_half_the_space(
    trained: tuple[Any, list[np.ndarray]], tmp_path: Path
) -> None:
    model, inputs = trained
    half = oaq_keras.strip(model, dtype="float16")
    half.save_weights(tmp_path / "half.weights.h5")
    assert {v.dtype.name for v in half.weights if "kernel" in v.name} == {"float16"}
    for answer, expected in zip(
        answers_of(half, inputs), answers_of(oaq_keras.strip(model), inputs), strict=True
    ):
        assert np.abs(answer - expected).max() < 0.02 * np.abs(expected).max() + 1e-3


def test_stripped_models_are_quantized_again() -> None:
    keras.utils.set_random_seed(1)
    float_model = _sequence(keras)
    inputs = inputs_of(float_model)
    model = oaq_keras.quantize(float_model)
    oaq_keras.calibrate(model, inputs)
    again = oaq_keras.quantize(oaq_keras.strip(model))
    oaq_keras.calibrate(again, inputs)
    assert oaq_keras.certify(oaq_keras.convert(again)).proven
    np.testing.assert_allclose(
        answers_of(again, inputs)[0], answers_of(model, inputs)[0], rtol=0.1, atol=0.05
    )


def test_what_cannot_be_stripped_is_refused() -> None:
    with pytest.raises(oaq_keras.UnsupportedError, match="without quantized weights"):
        oaq_keras.strip(_sequence(keras))
    with pytest.raises(ValueError, match="dtype is 'float32' or 'float16', got 'int8'"):
        oaq_keras.strip(oaq_keras.quantize(_sequence(keras)), dtype="int8")
