# SPDX-License-Identifier: Apache-2.0
"""Trainings that go on where they were stopped, and are not done twice."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tf_keras as keras

from helpers.kept_files import fingerprint, read_notes, write_whole


@dataclass(frozen=True)
class Budget:
    """How a network is trained.

    Attributes:
      epochs: passes over the data.
      learning_rate: of Adam; it decays to zero by a cosine.
      batch: examples a step.
      seed: of everything random.
    """

    epochs: int
    learning_rate: float
    batch: int
    seed: int


def fitted(model: Any, data: Any, loss: Any, budget: Budget, backup: Path) -> Any:
    """A model, trained; from its last epoch on where `backup` has one.

    Args:
      model: tf_keras model.
      data: tf.data.Dataset of known length, a pass over it.
      loss: as `compile` takes it.
      budget: of the training.
      backup: folder of its own, which is gone afterwards. Where it is there, the model goes on with
        the data's order that a first epoch has.
    """
    steps = int(data.cardinality()) * budget.epochs
    rate = keras.optimizers.schedules.CosineDecay(budget.learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), loss)
    callbacks = [keras.callbacks.BackupAndRestore(str(backup))]
    model.fit(data, epochs=budget.epochs, callbacks=callbacks, verbose=1)
    shutil.rmtree(backup, ignore_errors=True)
    return model


def float_network(
    make: Callable[[], Any],
    data: Callable[[], Any],
    loss: Any,
    budget: Budget,
    folder: Path,
    choices: Mapping[str, Any],
) -> Any:
    """A float network: the one in the folder, if trained by the same budget, else trained now.

    Args:
      make: gives the model with its initial weights.
      data: gives the data of training.
      loss: as `compile` takes it.
      budget: of the training.
      folder: keeps float.keras.
      choices: what else decides it, such as the data; JSON has their values.
    """
    file, notes = folder / "float.keras", folder / "float_training.json"
    made_with = {**choices, **asdict(budget)}
    if file.is_file() and read_notes(notes) == made_with:
        print(f"float network: {file}, trained before", flush=True)
        return keras.models.load_model(file, compile=False)
    folder.mkdir(parents=True, exist_ok=True)
    print("\n== float network", flush=True)
    keras.utils.set_random_seed(budget.seed)
    backup = folder / f"float_training_backup_{fingerprint(made_with)}"
    model = fitted(make(), data(), loss, budget, backup)
    notes.unlink(missing_ok=True)
    model.save(file)
    write_whole(notes, json.dumps(made_with))
    return model
