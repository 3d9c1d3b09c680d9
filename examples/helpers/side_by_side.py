# SPDX-License-Identifier: Apache-2.0
"""Stock int8 and ours from the same float weights with the same budget, scored as files."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

import oaq_keras
from helpers.tflite_files import answers_of, float_kinds

METHODS = ("float", "stock", "ours")
_DRAWS = 300


@dataclass(frozen=True)
class Budget:
    """How both are trained.

    Attributes:
      epochs: of fine-tuning.
      learning_rate: of Adam; it decays to zero by a cosine.
      batch: images a step.
      seed: of everything random.
    """

    epochs: int
    learning_rate: float
    batch: int
    seed: int


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
      name: in tables.
      metric: what `score` is, higher being better.
      model: float tf_keras model.
      train: makes the data of training, batches of inputs and targets.
      loss: as `compile` takes it, for targets and outputs in the model's order.
      inputs: of the test, float32 [images, ...].
      judged: what the outputs, by their names in the float model, come to, image by image.
      score: of what was judged, 0 to 100, over all images or some.
      agreement: of one image, how much two networks find the same, 0 to 1.
      show: is given a method's name and what was judged, to save pictures, say.
    """

    name: str
    metric: str
    model: Any
    train: Callable[[], Any]
    loss: Any
    inputs: NDArray[np.float32]
    judged: Callable[[dict[str, NDArray[np.float32]]], Sequence[Any]]
    score: Callable[[Sequence[Any], Sequence[int]], float]
    agreement: Callable[[Any, Any], float]
    show: Callable[[str, Sequence[Any]], None] = lambda method, judged: None


def compare(task: Task, budget: Budget, folder: Path, depth: int = 16) -> dict[str, Any]:
    """Trains what is not trained yet, and scores the files.

    Args:
      task: what is to be done.
      budget: of both trainings.
      folder: for files and backups; a run that was stopped goes on from there.
      depth: accumulation depth T for ours to prove.

    Returns:
      A row of figures, for `results`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**asdict(budget), "task": task.name, "depth": depth}
    contents = {method: _file(method, task, budget, folder, settings) for method in METHODS}
    judged = {}
    for method, content in contents.items():
        print(f"{method}: {len(task.inputs)} images ...", flush=True)
        judged[method] = list(task.judged(answers_of(content, task.inputs, task.model)))
        task.show(method, judged[method])
    every = range(len(judged["float"]))
    certificates = {m: oaq_keras.certify(contents[m], depth=depth) for m in METHODS[1:]}
    row: dict[str, Any] = {**settings, "metric": task.metric, "images": len(every)}
    for method in METHODS:
        row[method] = {
            "score": task.score(judged[method], every),
            "agreement": float(
                np.mean([task.agreement(judged["float"][i], judged[method][i]) for i in every])
            ),
            "bytes": len(contents[method]),
        }
        if method in certificates:
            summary = certificates[method].summary()
            row[method]["proven"] = summary.proven_after_first
            row[method]["never_drained"] = summary.never_drained_after_first
            row[method]["float_operators"] = float_kinds(contents[method])
    row["interval"] = _interval(task, judged["stock"], judged["ours"])
    return row


def _interval(task: Task, before: Sequence[Any], after: Sequence[Any]) -> tuple[float, float]:
    """95 % of what ours has more than stock, by a bootstrap over images."""
    draw = np.random.default_rng(0)
    count = len(before)
    found = []
    for _ in range(_DRAWS):
        chosen = [int(i) for i in draw.integers(count, size=count)]
        found.append(task.score(after, chosen) - task.score(before, chosen))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def _file(method: str, task: Task, budget: Budget, folder: Path, settings: dict[str, Any]) -> bytes:
    """The .tflite file of a method: the one in the folder, if made with these settings."""
    file, made_with = folder / f"{method}.tflite", folder / f"{method}.json"
    text = json.dumps(settings, sort_keys=True)
    if file.is_file() and made_with.is_file() and made_with.read_text() == text:
        return file.read_bytes()
    if method != "float":
        print(f"\n== {task.name}: {method}", flush=True)
    content = _MAKE[method](task, budget, folder / f"{method}_backup", int(settings["depth"]))
    file.write_bytes(content)
    made_with.write_text(text)
    return content


def _float(task: Task, budget: Budget, backup: Path, depth: int) -> bytes:
    del budget, backup, depth
    return bytes(tf.lite.TFLiteConverter.from_keras_model(task.model).convert())


def _stock(task: Task, budget: Budget, backup: Path, depth: int) -> bytes:
    import tensorflow_model_optimization as tfmot

    del depth
    keras.utils.set_random_seed(budget.seed)
    model = _fitted(tfmot.quantization.keras.quantize_model(task.model), task, budget, backup)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
        return bytes(converter.convert())


def _ours(task: Task, budget: Budget, backup: Path, depth: int) -> bytes:
    keras.utils.set_random_seed(budget.seed)
    quantized = oaq_keras.quantize(task.model, depth=depth)
    return bytes(oaq_keras.convert(_fitted(quantized, task, budget, backup)))


_MAKE = {"float": _float, "stock": _stock, "ours": _ours}


def _fitted(model: Any, task: Task, budget: Budget, backup: Path) -> Any:
    data = task.train()
    steps = int(data.cardinality()) * budget.epochs
    rate = keras.optimizers.schedules.CosineDecay(budget.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), task.loss)
    callbacks = [keras.callbacks.BackupAndRestore(str(backup))]
    model.fit(data, epochs=budget.epochs, callbacks=callbacks, verbose=1)
    return model
