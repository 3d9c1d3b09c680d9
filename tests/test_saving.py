# SPDX-License-Identifier: Apache-2.0
"""Quantized models that were saved go on, once they are loaded, as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.activations import HARD_SILU
from tests import networks
from tests.networks import SHAPE, answers_of, inputs_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
    pytest.mark.filterwarnings("ignore:In float"),
]


def _float_inside(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    norm = which.layers.LayerNormalization(name="norm")
    x = norm(which.layers.Conv2D(4, 1)(norm(inputs)))
    return which.Model(inputs, which.layers.Conv2D(2, 1)(x))


def _joined(which: Any) -> Any:
    inputs = which.Input(SHAPE)
    parts = [which.layers.Conv2D(4, 1, activation="relu")(inputs) for _ in range(3)]
    x = which.layers.Concatenate()([parts[2], parts[0], parts[1], inputs])
    x = which.layers.PReLU(shared_axes=[1, 2])(which.layers.Conv2D(4, 3, activation="swish")(x))
    x = which.layers.Activation(HARD_SILU)(which.layers.Conv2D(4, 1)(x))
    x = which.layers.GlobalAveragePooling2D()(x)
    return which.Model(inputs, which.layers.Dense(3, activation="softmax", name="classes")(x))


NETWORKS = {
    "joined": (_joined, {}),
    "shared": (networks.shared, {}),
    "shared kinds": (networks.shared_kinds, {}),
    "several": (networks.several, {}),
    "in float": (_float_inside, {}),
    "paper": (_joined, {"policy": "paper"}),
}
CASES = [
    *((name, "model.keras") for name in NETWORKS),
    *((name, file) for name in ("joined", "shared") for file in ("model.h5", "model")),
]


def _fit(model: Any, inputs: list[np.ndarray], epochs: int, done: int = 0) -> None:
    keras.utils.set_random_seed(3)  # of dropout
    draw = np.random.default_rng(5)
    wanted = [draw.normal(size=(3, *output.shape[1:])) for output in model.outputs]
    model.fit(inputs, wanted, epochs=epochs, initial_epoch=done, shuffle=False, verbose=0)


def _made(name: str) -> tuple[Any, list[np.ndarray]]:
    keras.backend.clear_session()  # so that names are the same again
    keras.utils.set_random_seed(1)
    make, options = NETWORKS[name]
    float_model = make(keras)
    model = oaq_keras.quantize(float_model, **options)
    model.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mae"])
    return model, inputs_of(float_model)


@pytest.mark.parametrize(("name", "file"), CASES)
def test_loaded_models_go_on(name: str, file: str, tmp_path: Path) -> None:
    model, inputs = _made(name)
    _fit(model, inputs, epochs=5)
    model.save(tmp_path / file)
    loaded = oaq_keras.load_model(tmp_path / file)
    _answer_alike(loaded, model, inputs)
    assert loaded.float_layers == model.float_layers
    for each in (model, loaded):
        _fit(each, inputs, epochs=10, done=5)
    # Conversion takes as long as all else, and knows no format of files.
    if file == "model.keras":
        _are_equal(loaded, model, inputs)
    else:
        _answer_alike(loaded, model, inputs)


def _answer_alike(loaded: Any, model: Any, inputs: list[np.ndarray]) -> None:
    for answer, expected in zip(answers_of(loaded, inputs), answers_of(model, inputs), strict=True):
        np.testing.assert_array_equal(answer, expected)
    pairs = zip(loaded.optimizer.variables, model.optimizer.variables, strict=True)
    assert all(np.array_equal(own.numpy(), other.numpy()) for own, other in pairs)


def _are_equal(loaded: Any, model: Any, inputs: list[np.ndarray]) -> None:
    _answer_alike(loaded, model, inputs)
    assert oaq_keras.convert(loaded) == oaq_keras.convert(model)


@pytest.mark.parametrize("file", ["model.keras", "model.h5", "model"])
def test_frozen_layers_stay_frozen(file: str, tmp_path: Path) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    float_model = _joined(keras)
    for layer in float_model.layers[:4]:
        layer.trainable = False
    model = oaq_keras.quantize(float_model)
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    inputs = inputs_of(float_model)
    _fit(model, inputs, epochs=5)
    model.save(tmp_path / file)
    loaded = oaq_keras.load_model(tmp_path / file)
    pairs = zip(loaded.trainable_weights, model.trainable_weights, strict=True)
    assert all(np.array_equal(own.numpy(), other.numpy()) for own, other in pairs)
    for each in (model, loaded):
        _fit(each, inputs, epochs=10, done=5)
    _are_equal(loaded, model, inputs)


def test_other_file_systems_are_read() -> None:
    model, inputs = _made("joined")
    _fit(model, inputs, epochs=3)
    model.save("ram://oaq/model.keras")
    _answer_alike(oaq_keras.load_model("ram://oaq/model.keras"), model, inputs)


def test_keras_loads_them_too(tmp_path: Path) -> None:
    model, inputs = _made("joined")
    _fit(model, inputs, epochs=3)
    model.save(tmp_path / "model.keras")
    _answer_alike(keras.models.load_model(tmp_path / "model.keras"), model, inputs)


@pytest.mark.parametrize("file", ["kept.weights.h5", "checkpoint"])
def test_weights_are_loaded_into_the_same_model(file: str, tmp_path: Path) -> None:
    model, inputs = _made("joined")
    _fit(model, inputs, epochs=3)
    model.save_weights(tmp_path / file)
    other, _ = _made("joined")
    other.load_weights(tmp_path / file)
    np.testing.assert_array_equal(answers_of(other, inputs)[0], answers_of(model, inputs)[0])
    assert oaq_keras.convert(other) == oaq_keras.convert(model)


def test_checkpoints_hold_model_and_optimizer(tmp_path: Path) -> None:
    model, inputs = _made("joined")
    _fit(model, inputs, epochs=3)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "at")
    other, _ = _made("joined")
    other.build_optimizer()
    tf.train.Checkpoint(model=other, optimizer=other.optimizer).restore(path).assert_consumed()
    for each in (model, other):
        _fit(each, inputs, epochs=6, done=3)
    _are_equal(other, model, inputs)


def test_models_are_loaded_without_their_training(tmp_path: Path) -> None:
    model, inputs = _made("joined")
    _fit(model, inputs, epochs=3)
    model.save(tmp_path / "model.keras")
    loaded = oaq_keras.load_model(tmp_path / "model.keras", compile=False)
    assert getattr(loaded, "optimizer", None) is None
    assert oaq_keras.convert(loaded) == oaq_keras.convert(model)


def test_files_that_hold_no_quantized_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no .*absent.keras"):
        oaq_keras.load_model(tmp_path / "absent.keras")
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    (tmp_path / "broken.h5").write_bytes(b"no hdf5")
    (tmp_path / "empty").mkdir()
    for file in ("broken.keras", "broken.h5", "empty"):
        with pytest.raises(oaq_keras.ModelFileError, match=f"{file} is no model that Keras can"):
            oaq_keras.load_model(tmp_path / file)
    _joined(keras).save(tmp_path / "float.keras")
    with pytest.raises(oaq_keras.UnsupportedError, match=r"not quantized.*pass it to quantize"):
        oaq_keras.load_model(tmp_path / "float.keras")
