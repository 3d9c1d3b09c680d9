# SPDX-License-Identifier: Apache-2.0
"""The command line that the examples share."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tf_keras as keras
from absl import app, flags, logging

from helpers.pictures import DataError
from helpers.results import DOCS, by_method, written
from helpers.side_by_side import Task, compare
from helpers.training import Budget, float_network

FLAGS = flags.FLAGS
_WHEREABOUTS = {"output", "write"}
_AFTER_FLOAT = {"epochs", "learning_rate", "depth", "ablation", "distill", "test", "test_images"}


def define_flags(
    output: str, epochs: int, learning_rate: float, batch: int, float_epochs: int | None = None
) -> None:
    """Defines what all examples can be told, with these defaults.

    Args:
      output: folder.
      epochs: of fine-tuning.
      learning_rate: of fine-tuning.
      batch: examples a step.
      float_epochs: of training the float network; None where its weights are always given.
    """
    flags.DEFINE_string("output", output, "folder for files, backups, figures and pictures")
    flags.DEFINE_integer("epochs", epochs, "of fine-tuning, for stock and ours", lower_bound=1)
    flags.DEFINE_float("learning_rate", learning_rate, "of Adam; decays to zero")
    flags.DEFINE_integer("batch", batch, "examples a step", lower_bound=1)
    flags.DEFINE_integer("depth", 16, "accumulation depth T to prove", lower_bound=1)
    flags.DEFINE_integer("seed", 1, "seed of everything random")
    flags.DEFINE_bool("quick", False, "few examples and one epoch, to see that it works")
    flags.DEFINE_bool("write", False, "put the row into docs/results.json and docs/results.md")
    if float_epochs is not None:
        flags.DEFINE_integer(
            "float_epochs", float_epochs, "of training the float network", lower_bound=1
        )
    # --help lists them with the script's own.
    for each in FLAGS.get_key_flags_for_module(sys.modules[__name__]):
        FLAGS.register_key_flag_for_module(sys.argv[0], each)


def budget() -> Budget:
    """How stock and ours are trained, by the flags."""
    epochs = 1 if FLAGS.quick else FLAGS.epochs
    return Budget(epochs, FLAGS.learning_rate, FLAGS.batch, FLAGS.seed)


def choices(but: set[str] = _WHEREABOUTS) -> dict[str, Any]:
    """All that the script was told: what was trained with other choices is not taken for its own.

    Args:
      but: names of flags to leave out.
    """
    by_module = FLAGS.flags_by_module_dict()
    known = [*by_module.get(sys.argv[0], ()), *by_module.get(__name__, ())]
    return {each.name: each.value for each in known if each.name not in but}


def trained_float(
    make: Callable[[], Any], data: Callable[[], Any], loss: Any, learning_rate: float
) -> Any:
    """A float network, trained for --float_epochs, or found in --output.

    Args:
      make: gives the model with its initial weights.
      data: gives the data of training.
      loss: as `compile` takes it.
      learning_rate: of Adam; decays to zero.
    """
    epochs = 1 if FLAGS.quick else FLAGS.float_epochs
    given = Budget(epochs, learning_rate, FLAGS.batch, FLAGS.seed)
    told = choices(_WHEREABOUTS | _AFTER_FLOAT)
    return float_network(make, data, loss, given, folder(), told)


def folder() -> Path:
    """Where all goes: --output. With --quick beside it, so that it leaves a full run's alone."""
    given = Path(FLAGS.output)
    return given.with_name(f"{given.name}-quick") if FLAGS.quick else given


def few(limit: int) -> slice:
    """What to take of a list of examples: all, or `limit` of them with --quick."""
    return slice(limit if FLAGS.quick else None)


def run(task: Callable[[], Task], after: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Runs an example: compares stock and ours, prints and writes the row.

    Args:
      task: makes the task by the flags; what is wrong with them or the data ends the program.
      after: is given the row.
    """

    def main(arguments: list[str]) -> None:
        try:
            row = compare(_checked(task, arguments), budget(), folder(), FLAGS.depth, choices())
        except DataError as error:
            sys.exit(f"{Path(sys.argv[0]).name}: error: {error}")
        except KeyboardInterrupt:
            sys.exit(f"\nStopped; the same command goes on, from what is in {folder()}.")
        if after is not None:
            after(row)
        quick = "\n\n--quick: the figures mean nothing." if FLAGS.quick else ""
        print(f"\n{by_method(row)}{quick}\n\nFiles are in {folder()}")
        if FLAGS.write:
            written(row)

    logging.set_verbosity(logging.ERROR)
    app.run(main)


def _checked(task: Callable[[], Task], arguments: list[str]) -> Task:
    if arguments[1:]:
        raise DataError(f"There is no argument {arguments[1]!r}; expected flags, --name=value.")
    if FLAGS.write and FLAGS.quick:
        raise DataError("--write with --quick would put figures that mean nothing into a table.")
    if FLAGS.write and not (DOCS / "results.md").is_file():
        raise DataError(f"--write needs {DOCS / 'results.md'}, the page to put the row into.")
    try:
        return task()
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error


def lines(flag: str) -> list[str]:
    """The lines of the file that a flag names, without empty ones.

    Raises:
      DataError: it cannot be read, or has none.
    """
    path = Path(FLAGS[flag].value)
    try:
        found = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"--{flag} {path} cannot be read: {error}.") from error
    if not found:
        raise DataError(f"--{flag} {path} is empty; expected a name in each line.")
    return found


def given_network(flag: str) -> Any:
    """The Keras network of the file that a flag names.

    Raises:
      DataError: it is none.
    """
    path = FLAGS[flag].value
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"--{flag} {path}: {error}. Expected a Keras model.") from error
