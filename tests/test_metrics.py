# SPDX-License-Identifier: Apache-2.0
"""Figures of overflow aware training among Keras's metrics, and in TensorBoard's logs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

import oaq_keras
from oaq_keras import metrics, trained
from oaq_keras._keras import keras
from oaq_keras.callbacks import Summaries
from oaq_keras.metrics import (
    ActivationBits,
    Headroom,
    Looks,
    ProvenShare,
    Watch,
    WeightBitsGivenUp,
    Width,
    widths,
)

CLASSES = 3
SHAPE = (8, 8, 3)


def _model(*given: Any) -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = oaq_keras.quantize(keras.Model(inputs, keras.layers.Dense(CLASSES, name="classes")(x)))
    model.compile("adam", "mse", metrics=list(given))
    return model


def _data(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(count, *SHAPE)).astype(np.float32), draw.normal(size=(count, CLASSES))


def test_metrics_tell_what_the_model_is_like() -> None:
    model = _model("mae", ProvenShare(), Headroom(), WeightBitsGivenUp(), ActivationBits())
    history = model.fit(*_data(), epochs=3, validation_data=_data(16), verbose=0).history
    assert history["proven"][-1] == 1.0
    assert history["headroom"][-1] >= 0.0
    assert history["activation_bits"][-1] == pytest.approx(trained.mean_width(model), abs=0.05)
    found = model.evaluate(*_data(), return_dict=True, verbose=0)
    assert found["proven"] == trained.proven_share(model)
    assert found["headroom"] == pytest.approx(min(trained.headroom(model).values()))
    assert found["weight_bits_given_up"] == pytest.approx(trained.inflation_bits(model))
    assert found["activation_bits"] == pytest.approx(trained.mean_width(model))


def test_the_progress_line_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    model = _model(ProvenShare())
    model.fit(*_data(), verbose=1)
    assert "proven: 1.0000" in capsys.readouterr().out


def test_looking_takes_little_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    looked = []

    class Slow(Watch):
        def __call__(self, model: Any) -> None:
            looked.append(now[0])
            now[0] += 0.1

    looks = Looks(Slow(()))
    for batch in range(3000):
        looks.on_train_batch_begin(batch)
        now[0] += 0.01
    assert len(looked) > 1
    assert 0.1 * len(looked) < 0.01 * now[0] + 0.2


def test_what_is_looked_at_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []

    def counted(model: Any) -> Any:
        traced.append(model)
        return trained.figures(model)

    monkeypatch.setattr(metrics, "figures", counted)
    model = _model(ProvenShare(), Headroom())
    model.fit(*_data(), epochs=3, validation_data=_data(16), verbose=0)
    model.evaluate(*_data(), verbose=0)
    assert len(traced) == 1


def test_several_outputs_show_the_same_figures() -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE)
    outputs = [keras.layers.Conv2D(2, 3, name=name)(inputs) for name in ("one", "other")]
    model = oaq_keras.quantize(keras.Model(inputs, outputs))
    model.compile("adam", "mse", metrics=[ProvenShare(), Headroom()])
    x, _ = _data()
    y = [np.zeros((64, 6, 6, 2), np.float32)] * 2
    history = model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0).history
    for name in ("one", "other"):
        assert history[f"{name}_proven"] == history[f"val_{name}_proven"] == [1.0, 1.0]
        assert history[f"{name}_headroom"][-1] == trained.least_headroom(model)


def test_nothing_is_said_of_them_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    model = _model(ProvenShare(), Headroom())
    model.fit(*_data(), verbose=0)
    assert "AutoGraph" not in capfd.readouterr().err


def test_widths_layer_by_layer(tmp_path: Path) -> None:
    model = _model()
    model.compile("adam", "mse", metrics=widths(model))
    history = model.fit(*_data(), epochs=2, verbose=0).history
    (table,) = trained.format_tables(model)
    assert history["width_conv"][-1] == pytest.approx(float(table.width("conv")))
    model.save(tmp_path / "model.keras")
    loaded = oaq_keras.load_model(tmp_path / "model.keras")
    assert "width_conv" in loaded.evaluate(*_data(), return_dict=True, verbose=0)
    model.compile("adam", "mse", metrics=[Width("none")])
    with pytest.raises(oaq_keras.UnsupportedError, match=r"Width\('none'\): .* conv"):
        model.fit(*_data(), verbose=0)


class _Logged(keras.callbacks.Callback):
    """What callbacks of the user's see at the end of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append((logs["headroom"], min(trained.headroom(self.model).values())))


@pytest.mark.parametrize("steps", [1, 3])
def test_epochs_end_with_the_figures_of_that_moment(steps: int) -> None:
    model = _model()
    model.compile("adam", "mse", metrics=[Headroom()], steps_per_execution=steps)
    logged = _Logged()
    history = model.fit(*_data(), batch_size=8, epochs=3, callbacks=[logged], verbose=0).history
    assert history["headroom"] == [pytest.approx(seen) for seen, _ in logged.seen]
    assert all(seen == pytest.approx(now) for seen, now in logged.seen)


def test_metrics_are_saved_with_the_model(tmp_path: Path) -> None:
    model = _model(ProvenShare())
    model.fit(*_data(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = oaq_keras.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(*_data(), return_dict=True, verbose=0)["proven"] == 1.0


def test_tensorboard_gets_scalars_and_histograms(tmp_path: Path) -> None:
    model = _model()
    model.fit(*_data(), epochs=2, callbacks=[Summaries(tmp_path)], verbose=0)
    (file,) = (tmp_path / "overflow").iterdir()
    found: dict[str, list[int]] = {}
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
    assert all(steps == [0, 1] for steps in found.values())
    assert set(found) >= {
        *("overflow/proven", "overflow/weight_bits_given_up", "overflow/activation_bits"),
        *("headroom/conv", "headroom/classes", "width/conv", "load/conv", "codes/classes"),
    }


@pytest.mark.parametrize("every", [0, 1.5, "2"])
def test_periods_that_make_no_sense_are_refused(every: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every is a number of epochs"):
        Summaries(tmp_path, every=every)
