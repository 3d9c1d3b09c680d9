# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras import callbacks
from oaq_keras._keras import keras, tf
from oaq_keras.normalization import FreezableBatchNormalization
from oaq_keras.schedule import Phases, set_progress
from oaq_keras.trained import format_tables

STEPS = 10


def small_network() -> Any:
    layers = keras.layers
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, activation="relu", name="body")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def data(steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4 * steps, 6, 6, 3)).astype(np.float32), rng.integers(0, 3, 4 * steps)


def compiled(**options: Any) -> Any:
    keras.utils.set_random_seed(2)
    model = oaq_keras.quantize(small_network(), **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(2e-2, weight_decay=0.05), loss)
    return model


class Watch(keras.callbacks.Callback):
    """What formats, statistics and state are after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        (table,) = format_tables(self.model)
        norm = next(
            layer.layer
            for layer in self.model.layers
            if isinstance(getattr(layer, "layer", None), FreezableBatchNormalization)
        )
        self.rows.append(
            {
                "state": table.schedule().variable.numpy().copy(),
                "width": [float(v["log2_width"]) for _, v in table.items() if "log2_width" in v],
                "clip": [float(v["log2_clip"]) for _, v in table.items() if "log2_clip" in v],
                "open": [float(v["high"]) for _, v in table.items() if "high" in v],
                "mean": norm.moving_mean.numpy().copy(),
                "gamma": norm.gamma.numpy().copy(),
            }
        )


def changes(rows: list[dict[str, Any]], name: str) -> list[bool]:
    """Whether each step after the first changed something."""
    pairs = pairwise(rows)
    return [bool(np.any(np.asarray(a[name]) != np.asarray(b[name]))) for a, b in pairs]


def test_plain_fit_runs_the_schedule() -> None:
    model, watch = compiled(), Watch()
    x, y = data()
    model.fit(x, y, epochs=4, batch_size=4, verbose=0, callbacks=[watch])
    widths, clips = changes(watch.rows, "width"), changes(watch.rows, "clip")
    means, opened = changes(watch.rows, "mean"), changes(watch.rows, "open")
    assert len(watch.rows) == 4 * STEPS
    assert not any(widths[:3])  # the first tenth: 4 of 40 steps
    assert all(widths[3:27])
    assert all(clips[:27])
    assert all(means)
    assert any(opened[:27])
    # The last 30 %: to the bit, in spite of the optimizer's momentum and weight decay.
    assert not any(widths[27:] + clips[27:] + opened[27:])
    assert all(changes(watch.rows, "gamma")[27:])
    ramps = [float(row["state"][2]) for row in watch.rows]
    assert ramps[0] == 0.0
    assert ramps == sorted(ramps)
    assert ramps[8] == 1.0
    assert oaq_keras.certify(oaq_keras.convert(model)).proven


def test_frozen_normalization_trains_as_it_will_be_folded() -> None:
    model, watch = compiled(), Watch()
    x, y = data()
    given = [callbacks.Schedule(freeze_statistics=0.5), watch]
    model.fit(x, y, epochs=1, batch_size=4, verbose=0, callbacks=given)
    means = changes(watch.rows, "mean")
    assert all(means[:4])
    assert not any(means[4:])

    def off() -> float:
        inference = tf.function(lambda inputs: model(inputs, training=False))
        return float(np.abs(model(x, training=True) - inference(x)).max())

    assert off() < 1e-6
    oaq_keras.thaw(model)
    assert off() > 1e-3
    oaq_keras.freeze(model)
    assert off() > 1e-3
    oaq_keras.freeze(model, statistics=True)
    assert off() < 1e-6


def test_a_second_fit_learns_from_the_first_ones_formats() -> None:
    model, first, second = compiled(), Watch(), Watch()
    x, y = data()
    model.fit(x, y, epochs=1, batch_size=4, verbose=0, callbacks=[first])
    model.fit(x, y, epochs=1, batch_size=4, verbose=0, callbacks=[second])
    assert changes([first.rows[-1], second.rows[0]], "width") == [True]
    step = np.abs(np.subtract(first.rows[-1]["clip"], second.rows[0]["clip"]))
    assert 0 < step.max() < 0.1  # a step of training, no calibration
    assert not any(changes(second.rows, "width")[6:])


def test_initial_epoch_goes_on_where_training_stopped() -> None:
    model, watch = compiled(), Watch()
    x, y = data()
    model.fit(x, y, epochs=8, initial_epoch=7, batch_size=4, verbose=0, callbacks=[watch])
    assert not any(changes(watch.rows, "width"))
    assert watch.rows[0]["state"][1] == 1.0


def batches(steps: int) -> Iterator[Any]:
    x, y = data()
    for step in range(steps):
        part = slice(4 * (step % STEPS), 4 * (step % STEPS) + 4)
        yield x[part], y[part]


def test_steps_that_are_unknown_are_counted_in_the_first_epoch() -> None:
    model, watch = compiled(), Watch()
    signature = (tf.TensorSpec([4, 6, 6, 3]), tf.TensorSpec([4], tf.int64))
    dataset = tf.data.Dataset.from_generator(lambda: batches(5), output_signature=signature)
    model.fit(dataset, epochs=4, verbose=0, callbacks=[watch])
    widths = changes(watch.rows, "width")
    assert not any(widths[:4])
    assert all(widths[4:13])
    assert not any(widths[13:])


def test_one_epoch_of_unknown_length_warns() -> None:
    model, watch = compiled(), Watch()
    signature = (tf.TensorSpec([4, 6, 6, 3]), tf.TensorSpec([4], tf.int64))
    dataset = tf.data.Dataset.from_generator(lambda: batches(3), output_signature=signature)
    with pytest.warns(UserWarning, match="steps_per_epoch"):
        model.fit(dataset, verbose=0, callbacks=[watch])
    assert all(changes(watch.rows, "width"))


def test_a_given_schedule_takes_the_place_of_the_default() -> None:
    model, watch = compiled(), Watch()
    x, y = data()
    given = [callbacks.Schedule(learn_widths=0.5, freeze=1.0), watch]
    model.fit(x, y, batch_size=4, verbose=0, callbacks=given)
    widths = changes(watch.rows, "width")
    assert not any(widths[:4])
    assert all(widths[4:])
    assert len(given) == 2


def test_callbacks_by_position_and_lists_without_a_schedule() -> None:
    model, watch = compiled(), Watch()
    x, y = data()
    model.fit(x, y, 4, 1, 0, [watch])
    assert watch.rows[-1]["state"][3] > 0.0
    with pytest.raises(ValueError, match="has no oaq_keras"):
        model.fit(x, y, verbose=0, callbacks=keras.callbacks.CallbackList([watch], model=model))


def test_training_loops_of_ones_own_learn_formats_and_freeze() -> None:
    model = compiled()
    x, y = data()
    (table,) = format_tables(model)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-2)

    def step() -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(y[:8], model(x[:8], training=True)) + sum(model.losses)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def formats() -> list[float]:
        return [float(v["log2_width"]) for _, v in table.items() if "log2_width" in v]

    before = formats()
    step()
    assert formats() != before
    oaq_keras.freeze(model)
    before = formats()
    step()
    assert formats() == before


def test_state_is_among_the_weights(tmp_path: Any) -> None:
    model, copy = compiled(), compiled()
    x, y = data()
    model.fit(x, y, batch_size=4, verbose=0)
    model.save_weights(tmp_path / "weights.h5")
    copy.load_weights(tmp_path / "weights.h5")
    (table,) = format_tables(copy)
    assert float(table.schedule().progress) == 1.0
    assert float(table.schedule().frozen) == 1.0


@pytest.mark.parametrize(
    "phases", [{"freeze": 1.5}, {"learn_widths": -0.1}, {"learn_widths": 0.8, "freeze": 0.5}]
)
def test_phases_out_of_order_are_refused(phases: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        Phases(**phases)


def test_models_that_are_not_quantized_are_refused() -> None:
    for call in (oaq_keras.freeze, oaq_keras.thaw, lambda model: set_progress(model, 0.5)):
        with pytest.raises(oaq_keras.UnsupportedError, match="quantize"):
            call(small_network())


def test_certificates_are_logged() -> None:
    model = compiled()
    x, y = data()
    logged = model.fit(
        x, y, epochs=2, batch_size=4, verbose=0, callbacks=[callbacks.Certificates(every=2)]
    ).history
    assert logged["proven"] == [1.0]
    assert 0 <= logged["weight_bits_given_up"][0] < 3
    assert 4 <= logged["activation_bits"][0] <= 8
    with pytest.raises(ValueError, match="got 0"):
        callbacks.Certificates(every=0)


def test_certificates_of_a_float_model_are_refused() -> None:
    model = small_network()
    model.compile("sgd", "mse")
    x, y = data()
    with pytest.raises(oaq_keras.UnsupportedError, match="quantize"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.Certificates()])
