# SPDX-License-Identifier: Apache-2.0
"""Runs that are stopped, and started again as they were or told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from helpers import side_by_side
from helpers.side_by_side import Task, compare
from helpers.training import Budget, float_network

from tests.examples import needs_library

INPUTS = np.random.default_rng(0).random((8, 6, 6, 1), np.float32)
TRUTH = np.arange(8) % 2
BUDGET = Budget(epochs=3, learning_rate=1e-3, batch=4, seed=1)


def network() -> Any:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


class StoppedError(Exception):
    """Stands for a key, or a cut in the power."""


def batches(stop_at: int | None = None) -> Any:
    """An epoch of two batches; raises in the n-th epoch that is begun."""
    begun = 0

    def examples() -> Iterator[Any]:
        nonlocal begun
        begun += 1
        if begun == stop_at:
            raise StoppedError
        for i in (0, 4):
            yield INPUTS[i : i + 4], TRUTH[i : i + 4]

    kinds = (tf.TensorSpec((4, 6, 6, 1)), tf.TensorSpec((4,), tf.int64))
    made = tf.data.Dataset.from_generator(examples, output_signature=kinds)
    return made.apply(tf.data.experimental.assert_cardinality(2))


def task(stop_at: int | None = None, truth: Any = TRUTH) -> Task:
    return Task(
        name="toy",
        metric="top-1",
        model=network,
        train=lambda model: batches(stop_at),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        inputs=INPUTS,
        truth=truth,
        judged=lambda outputs: [*next(iter(outputs.values())).argmax(-1)],
        score=lambda found, chosen: 100 * float(np.mean([found[i] == truth[i] for i in chosen])),
        agreement=lambda first, second: float(first == second),
    )


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "latencies", lambda files, example: dict.fromkeys(files, 1.0))


def epochs_of(said: str, method: str) -> list[str]:
    part = said.partition(f"== toy: {method}")[2].partition("== toy")[0]
    return [line for line in part.splitlines() if line.startswith("Epoch ")]


@needs_library
def test_a_stopped_run_goes_on_and_one_told_otherwise_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In stock's second epoch: its ranges were settled by 80 passes over the data before.
    with pytest.raises(Exception, match="StoppedError"):
        compare(task(stop_at=82), BUDGET, tmp_path)
    assert epochs_of(capsys.readouterr().out, "stock") == ["Epoch 1/3", "Epoch 2/3"]
    other = Budget(**{**vars(BUDGET), "learning_rate": 1e-2})
    row = compare(task(), other, tmp_path)
    said = capsys.readouterr().out
    assert [epochs_of(said, method)[0] for method in ("stock", "ours")] == ["Epoch 1/3"] * 2
    assert row["learning_rate"] == 1e-2
    compare(task(), BUDGET, tmp_path)
    said = capsys.readouterr().out
    assert epochs_of(said, "stock") == ["Epoch 2/3", "Epoch 3/3"]
    assert epochs_of(said, "ours")[0] == "Epoch 1/3"


@needs_library
def test_scores_are_kept_for_the_same_truth_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = compare(task(), BUDGET, tmp_path)
    capsys.readouterr()
    assert compare(task(), BUDGET, tmp_path) == first
    assert "examples ..." not in capsys.readouterr().out
    other = compare(task(truth=1 - TRUTH), BUDGET, tmp_path)
    assert other["float"]["score"] == pytest.approx(100 - first["float"]["score"])


@needs_library
@pytest.mark.parametrize("name", ["row.json", "ours.json", "stock.json"])
def test_a_file_that_was_cut_short_is_made_again(tmp_path: Path, name: str) -> None:
    first = compare(task(), BUDGET, tmp_path)
    file = tmp_path / name
    file.write_text(file.read_text()[:40])
    again = compare(task(), BUDGET, tmp_path)
    assert again["ours"]["score"] == first["ours"]["score"]
    assert not [*tmp_path.glob("*backup*")]


def test_a_float_network_is_not_gone_on_with_for_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def train(data: str, stop_at: int | None = None) -> Any:
        given = {"data": data}
        return float_network(network, lambda: batches(stop_at), loss, BUDGET, tmp_path, given)

    with pytest.raises(Exception, match="StoppedError"):
        train("one", stop_at=2)
    capsys.readouterr()
    train("other")
    assert "Epoch 1/3" in capsys.readouterr().out
    train("other")
    assert "Epoch" not in capsys.readouterr().out
    train("one")
    assert "Epoch 1/3" not in capsys.readouterr().out
