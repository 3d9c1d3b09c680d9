# SPDX-License-Identifier: Apache-2.0
"""What Keras users do with fit works on a quantized model, or is refused with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.callbacks import Schedule
from oaq_keras.trained import format_tables

CLASSES = 3
SHAPE = (8, 8, 3)


def _network(dropout: float = 0.0) -> Any:
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(8, 3, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(dropout)(x))
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="classes")(x))


def _data(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, count)
    images = draw.normal(size=(count, *SHAPE)).astype(np.float32)
    images[np.arange(count), :, :, labels] += 1.0
    return images, labels


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _model(optimizer: Any = None, **options: Any) -> Any:
    keras.utils.set_random_seed(1)
    model = oaq_keras.quantize(_network())
    model.compile(optimizer or keras.optimizers.Adam(1e-2), LOSS, metrics=["accuracy"], **options)
    return model


def _is_proven(model: Any) -> bool:
    return bool(oaq_keras.certify(oaq_keras.convert(model)).proven)


def _as_dataset() -> dict[str, Any]:
    return {"x": tf.data.Dataset.from_tensor_slices(_data()).shuffle(64, seed=1).batch(16)}


def _of_weights() -> dict[str, Any]:
    x, y = _data()
    return {"x": x, "y": y, "sample_weight": np.linspace(0, 1, len(y)).astype(np.float32)}


def _of_classes() -> dict[str, Any]:
    x, y = _data()
    return {"x": x, "y": y, "class_weight": {i: 1.0 + i for i in range(CLASSES)}}


def _with_validation() -> dict[str, Any]:
    x, y = _data()
    return {"x": x, "y": y, "validation_split": 0.25}


@pytest.mark.parametrize("given", [_as_dataset, _of_weights, _of_classes, _with_validation])
def test_data_of_every_kind(given: Any) -> None:
    model = _model()
    history = model.fit(epochs=12, verbose=0, **given()).history
    assert history["accuracy"][-1] > 0.8
    assert _is_proven(model)
    x, y = _data()
    assert model.evaluate(x, y, verbose=0)[1] > 0.8
    assert model.predict(x, verbose=0).shape == (len(x), CLASSES)


def _schedule() -> Any:
    return keras.optimizers.schedules.CosineDecay(1e-2, 24)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0),
        lambda: keras.optimizers.Adam(1e-2, clipvalue=0.5),
        lambda: keras.optimizers.AdamW(_schedule(), global_clipnorm=1.0),
        lambda: keras.optimizers.legacy.Adam(1e-2),
        lambda: keras.optimizers.Adam(1e-2, use_ema=True),
    ],
    ids=["clipnorm", "clipvalue", "schedule, global_clipnorm", "legacy", "moving average"],
)
def test_optimizers_of_every_kind(optimizer: Any) -> None:
    model = _model(optimizer())
    history = model.fit(*_data(), epochs=12, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert _is_proven(model)


@pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])
def test_callbacks_of_every_kind(which: Any, tmp_path: Path) -> None:
    model = _model()
    best = str(tmp_path / "best.weights.h5")
    callbacks = [
        which.callbacks.ModelCheckpoint(best, "loss", save_best_only=True, save_weights_only=True),
        which.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0),
        which.callbacks.EarlyStopping("loss", patience=4, min_delta=10.0),
        which.callbacks.CSVLogger(str(tmp_path / "log.csv")),
    ]
    history = model.fit(*_data(), epochs=12, callbacks=callbacks, verbose=0).history
    assert len(history["loss"]) == 5
    assert float(model.optimizer.learning_rate.numpy()) < 1e-3
    assert (tmp_path / "log.csv").read_text().count("\n") == 6
    other = _model()
    other.load_weights(best)
    assert _is_proven(other)


@pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])
def test_the_best_of_a_training_is_kept_whole(which: Any, tmp_path: Path) -> None:
    model = _model()
    best = str(tmp_path / "best.keras")
    callbacks = [
        which.callbacks.ModelCheckpoint(best, "val_accuracy", save_best_only=True),
        which.callbacks.EarlyStopping("val_accuracy", patience=2, restore_best_weights=True),
    ]
    x, y = _data()
    history = model.fit(
        x, y, validation_data=(x, y), epochs=30, callbacks=callbacks, verbose=0
    ).history["val_accuracy"]
    assert len(history) < 30
    loaded = oaq_keras.load_model(best)
    assert loaded.evaluate(x, y, verbose=0)[1] == pytest.approx(max(history))
    assert oaq_keras.convert(loaded) == oaq_keras.convert(model)
    assert _is_proven(loaded)


def test_training_loops_of_ones_own() -> None:
    model = _model()
    x, y = _data()
    losses = []

    @tf.function
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = LOSS(labels, model(images, training=True)) + tf.add_n(model.losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    for epoch in range(12):
        if epoch == 8:
            oaq_keras.freeze(model)
        batches = [slice(begin, begin + 16) for begin in range(0, len(x), 16)]
        losses += [float(step(x[batch], y[batch])) for batch in batches]
    assert losses[-1] < losses[0]
    assert _is_proven(model)


def test_a_second_fit_goes_on() -> None:
    model = _model()
    first = model.fit(*_data(), epochs=6, verbose=0).history["loss"]
    second = model.fit(*_data(), epochs=6, verbose=0).history["loss"]
    assert second[-1] < first[-1]
    assert _is_proven(model)


def test_several_steps_in_one_execution() -> None:
    model = _model(steps_per_execution=3)
    model.fit(*_data(), batch_size=8, epochs=6, verbose=0)
    assert float(format_tables(model)[0].schedule().frozen) == 1.0
    assert _is_proven(model)


def test_a_fit_that_was_backed_up_is_no_ones_last(tmp_path: Path) -> None:
    model = _model()
    for folder in ("first", "second"):
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / folder))
        model.fit(*_data(), epochs=2, callbacks=[backup], verbose=0)
    model.fit(*_data(), verbose=0)


def test_steps_that_run_eagerly_come_to_the_same() -> None:
    found = {}
    for eagerly in (False, True):
        model = _model(run_eagerly=eagerly)
        model.fit(*_data(32), epochs=2, shuffle=False, verbose=0)
        found[eagerly] = [variable.numpy() for variable in model.trainable_variables]
    for one, other in zip(found[False], found[True], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_compiled_steps_come_to_the_same() -> None:
    found = {}
    for compiled in (False, True):
        model = _model(jit_compile=compiled)
        found[compiled] = model.fit(*_data(), epochs=4, shuffle=False, verbose=0).history["loss"]
        assert _is_proven(model)
    np.testing.assert_allclose(found[True], found[False], rtol=1e-3)


def test_float32_models_stay_so_whatever_the_policy() -> None:
    float_model = _network()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = oaq_keras.quantize(float_model)
        assert keras.mixed_precision.global_policy().name == "mixed_float16"
        with pytest.raises(
            oaq_keras.UnsupportedError, match=r"dtype policy 'mixed_float16'.*float32"
        ):
            oaq_keras.quantize(_network())
        model.compile("adam", LOSS)
        model.fit(*_data(), verbose=0)
        assert {str(variable.dtype) for variable in model.trainable_variables} == {
            "<dtype: 'float32'>"
        }
        assert _is_proven(model)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_a_classifier_is_put_on_a_frozen_trunk() -> None:
    trunk = _network()
    trunk.trainable = False
    inputs = keras.Input(SHAPE)
    head = keras.layers.Dense(CLASSES, name="head")(trunk(inputs, training=False))
    keras.utils.set_random_seed(1)
    model = oaq_keras.quantize(keras.Model(inputs, head))
    model.compile(keras.optimizers.Adam(1e-2), LOSS)
    before = {
        v.name: v.numpy() for v in model.variables if "conv" in v.name and "kernel:" in v.name
    }
    model.fit(*_data(), epochs=4, callbacks=[Schedule(freeze=0.5)], verbose=0)
    after = {v.name: v.numpy() for v in model.variables}
    assert before
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    assert {v.name.partition("/")[0] for v in model.trainable_variables} >= {"head"}
    assert _is_proven(model)
