# SPDX-License-Identifier: Apache-2.0
"""What users of Keras 3 give to compile() and fit() of a quantized model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.keras3_training import translated

CLASSES = 3


def _model() -> Any:
    keras3.utils.set_random_seed(1)
    inputs = keras3.Input((6,))
    x = keras3.layers.Dense(8, activation="relu")(inputs)
    return oaq_keras.quantize(keras3.Model(inputs, keras3.layers.Dense(CLASSES)(x)))


def _data() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(32, 6)).astype(np.float32), draw.integers(0, CLASSES, 32)


class _OwnOptimizer(keras3.optimizers.Optimizer):
    def __init__(self) -> None:
        super().__init__(0.1)


class _OwnSchedule(keras3.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> float:
        return 0.1

    def get_config(self) -> dict[str, Any]:
        return {}


class _OwnLoss(keras3.losses.Loss):
    def __init__(self, reduction: str = "sum_over_batch_size") -> None:
        super().__init__(reduction=reduction)

    def call(self, wanted: Any, answers: Any) -> Any:
        return keras3.ops.mean(keras3.ops.square(wanted - answers), axis=-1)


class _OwnMetric(keras3.metrics.Mean):
    pass


LOSS = keras3.losses.SparseCategoricalCrossentropy(from_logits=True)
OPTIMIZERS = [
    keras3.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    keras3.optimizers.Adam(keras3.optimizers.schedules.CosineDecay(1e-2, 100), clipnorm=1.0),
    keras3.optimizers.AdamW(1e-3, weight_decay=1e-4),
    keras3.optimizers.RMSprop(1e-3, use_ema=True),
    keras3.optimizers.Adagrad(1e-2),
    keras3.optimizers.Nadam(1e-3),
    keras3.optimizers.Lion(1e-4),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.name)
def test_optimizers_are_taken_with_their_settings(optimizer: Any) -> None:
    model = _model()
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    assert type(model.optimizer).__name__ == type(optimizer).__name__
    assert isinstance(model.optimizer, keras.optimizers.Optimizer)
    given, taken = optimizer.get_config(), model.optimizer.get_config()
    for key in ("momentum", "nesterov", "clipnorm", "weight_decay", "use_ema", "beta_1"):
        assert given.get(key) == pytest.approx(taken.get(key)), key
    losses = model.fit(*_data(), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def test_schedules_give_the_same_rates() -> None:
    given = keras3.optimizers.schedules.PiecewiseConstantDecay([5, 9], [0.3, 0.2, 0.1])
    taken = translated(keras3.optimizers.SGD(given)).get_config()["learning_rate"]
    assert taken["class_name"] == "PiecewiseConstantDecay"
    made = keras.optimizers.schedules.deserialize(taken)
    for step in (0, 5, 6, 9, 10):
        assert float(made(step)) == pytest.approx(float(given(step)))


@pytest.mark.parametrize(
    "loss",
    [
        LOSS,
        keras3.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        keras3.losses.Huber(delta=0.5),
        keras3.losses.mean_squared_error,
        keras3.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        keras3.losses.CategoricalFocalCrossentropy(from_logits=True, gamma=1.5),
        keras3.losses.Tversky(alpha=0.3),
        "own",
        keras3.losses.MeanAbsoluteError(),
        "mse",
    ],
)
def test_losses_compute_the_same(loss: Any) -> None:
    loss = _OwnLoss() if isinstance(loss, str) and loss == "own" else loss
    draw = np.random.default_rng(1)
    answers = draw.normal(size=(16, CLASSES)).astype(np.float32)
    labels = draw.integers(0, CLASSES, 16)
    sparse = "Sparse" in type(loss).__name__
    wanted = labels if sparse else np.eye(CLASSES, dtype=np.float32)[labels]
    function = keras3.losses.get(loss)
    taken = keras.losses.get(translated(loss))
    expected, found = function(wanted, answers), taken(wanted, answers)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-5)


def test_metrics_count_the_same() -> None:
    model = _model()
    x, y = _data()
    metrics = [
        keras3.metrics.SparseCategoricalAccuracy(name="right"),
        keras3.metrics.SparseTopKCategoricalAccuracy(k=2, name="near"),
    ]
    model.compile("sgd", LOSS, metrics=metrics, weighted_metrics=[metrics[0]])
    oaq_keras.calibrate(model, [x])
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    answers = model.predict(x, verbose=0)
    assert found["right"] == pytest.approx((answers.argmax(-1) == y).mean())
    near = [label in row for label, row in zip(y, np.argsort(-answers)[:, :2], strict=True)]
    assert found["near"] == pytest.approx(np.mean(near))


def test_losses_and_metrics_by_output() -> None:
    inputs = keras3.Input((6,))
    outputs = {
        "a": keras3.layers.Dense(CLASSES, name="a")(inputs),
        "b": keras3.layers.Dense(1, name="b")(inputs),
    }
    model = oaq_keras.quantize(keras3.Model(inputs, list(outputs.values())))
    model.compile("sgd", [LOSS, keras3.losses.MeanSquaredError()], metrics=[["accuracy"], []])
    x, y = _data()
    history = model.fit(x, [y, y.astype(np.float32)], verbose=0).history
    assert np.isfinite(history["loss"]).all()


class _Counting(keras3.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.logs: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches.append(batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs.append(logs)


def test_callbacks_of_ones_own_are_called() -> None:
    model = _model()
    model.compile("sgd", LOSS)
    counting = _Counting()
    model.fit(*_data(), epochs=2, batch_size=16, verbose=0, callbacks=[counting])
    assert counting.batches == [0, 1, 0, 1]
    assert all("loss" in logs for logs in counting.logs)
    assert counting.params["epochs"] == 2


def test_early_stopping_stops_and_restores() -> None:
    model = _model()
    model.compile(keras3.optimizers.SGD(0.0), LOSS)
    stop = keras3.callbacks.EarlyStopping("loss", patience=1, min_delta=10.0)
    ran = model.fit(*_data(), epochs=9, verbose=0, callbacks=[stop]).history["loss"]
    assert len(ran) < 9


def test_rates_are_reduced() -> None:
    model = _model()
    model.compile(keras3.optimizers.SGD(0.5), LOSS)
    reduce = keras3.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0)
    scheduler = keras3.callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    model.fit(*_data(), epochs=4, verbose=0, callbacks=[reduce, scheduler])
    assert float(model.optimizer.learning_rate.numpy()) < 0.5


REFUSED = {
    "optimizer of one's own": ({"optimizer": _OwnOptimizer()}, "_OwnOptimizer.*tf_keras.optim"),
    "optimizer that tf_keras has not": (
        {"optimizer": keras3.optimizers.Muon(1e-3)},
        "Muon is of Keras 3.*tf_keras.optimizers",
    ),
    "gradients gathered": (
        {"optimizer": keras3.optimizers.SGD(0.1, gradient_accumulation_steps=2)},
        "gradient_accumulation_steps",
    ),
    "reduction that tf_keras has not": (
        {"loss": _OwnLoss("mean_with_sample_weight")},
        "own_loss' has the reduction 'mean_with_sample_weight'",
    ),
    "optimizer by a name": ({"optimizer": "lamb"}, "Lamb is of Keras 3.*tf_keras.optimizers.AdamW"),
    "schedule of one's own": (
        {"optimizer": keras3.optimizers.SGD(_OwnSchedule())},
        "_OwnSchedule is of Keras 3.*schedules.LearningRateSchedule",
    ),
    "metric that wraps a function": (
        {"metrics": [keras3.metrics.MeanMetricWrapper(keras3.losses.mean_squared_error)]},
        "MeanMetricWrapper.*Give the function that it wraps",
    ),
    "metric of one's own": ({"metrics": [_OwnMetric()]}, "_OwnMetric.*tf_keras.metrics.Metric"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_tf_keras_has_not_is_refused_by_name(case: str) -> None:
    arguments, message = REFUSED[case]
    with pytest.raises(oaq_keras.UnsupportedError, match=f"(?s){message}"):
        _model().compile(**{"optimizer": "sgd", "loss": "mse", **arguments})


def test_compile_takes_what_only_keras_3_has_and_changes_nothing() -> None:
    model = _model()
    model.compile("sgd", LOSS, auto_scale_loss=True, jit_compile="auto")
    model.fit(*_data(), verbose=0)


@pytest.mark.parametrize("name", ["TensorBoard", "BackupAndRestore"])
def test_callbacks_of_keras_3_models_are_refused(name: str, tmp_path: Any) -> None:
    model = _model()
    model.compile("sgd", LOSS)
    callback = getattr(keras3.callbacks, name)(str(tmp_path))
    with pytest.raises(oaq_keras.UnsupportedError, match=f"{name}.*tf_keras.callbacks.{name}"):
        model.fit(*_data(), verbose=0, callbacks=[callback])
