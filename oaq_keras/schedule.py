# SPDX-License-Identifier: Apache-2.0
"""When training learns what: first clips and weights, then widths too, at last weights alone.

The state lies in the model's variables (`format_table.ScheduleState`); whoever knows how far
training is moves it: `callbacks.Schedule` inside `fit`, or the author of a training loop.
"""

from dataclasses import dataclass
from typing import Any

from oaq_keras.argument_checks import is_real
from oaq_keras.errors import UnsupportedError
from oaq_keras.format_table import FormatTable
from oaq_keras.trained import format_tables


@dataclass(frozen=True)
class Phases:
    """Shares of a training, 0 to 1.

    Formats calibrate in its first steps, whatever the shares.

    Attributes:
      learn_widths: from here on widths are trained; before, clips and weights alone.
      freeze: from here on formats stay as they are, so that weights settle on them; 1 for never.
      freeze_statistics: from here on BatchNormalization statistics stay too, and training
        normalizes with what the converter will fold; 1 for never.
      ramp: here the overflow regularization reaches its full weight, rising from 0.
    """

    learn_widths: float = 0.1
    freeze: float = 0.7
    ramp: float = 0.2
    freeze_statistics: float = 1.0

    def __post_init__(self) -> None:
        """Refuses shares that are not in order.

        Raises:
          ValueError: a share is no number in 0..1, or freezing comes before learning.
        """
        for name, value in vars(self).items():
            if not is_real(value) or not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is a share of the training, 0 to 1, got {value!r}.")
        if self.learn_widths > self.freeze:
            raise ValueError(
                f"Widths learn from learn_widths on until freeze; got learn_widths="
                f"{self.learn_widths} and freeze={self.freeze}. Give freeze the larger one."
            )

    def ramp_at(self, progress: float) -> float:
        """The share of lambda that counts at a share of the training."""
        return min(progress / self.ramp, 1.0) if self.ramp else 1.0


def set_progress(
    model: Any,
    progress: float,
    phases: Phases | None = None,
    warm: bool = False,
    steps: int = 0,
) -> bool:
    """Moves a model to where it is at a share of its training.

    Args:
      model: a model from `quantize`.
      progress: 0 to 1.
      phases: when what is learnt.
      warm: widths were trained before, so they learn from the start.
      steps: of an epoch, for who goes on with this training; 0 where nobody knows.

    Returns:
      Whether BatchNormalization was frozen or thawed: a training step that was traced before must
      be traced again.

    Raises:
      UnsupportedError: not a quantized model.
    """
    phases = phases or Phases()
    learns = phases.learn_widths <= progress or warm
    frozen = phases.freeze <= progress and phases.freeze < 1.0
    still = phases.freeze_statistics <= progress and phases.freeze_statistics < 1.0
    changed = False
    for table in _tables(model):
        state = table.schedule()
        before = state.variable.numpy()
        changed |= table.statistics_frozen != still
        state.assign(
            learns and not frozen,
            frozen,
            1.0 if warm else phases.ramp_at(progress),
            progress,
            warm,
            steps,
        )
        if (before[:2] != state.variable.numpy()[:2]).any():
            table.hold()
        table.statistics_frozen = still
    return changed


def freeze(model: Any, statistics: bool = False) -> None:
    """Freezes formats, for training loops of one's own; `fit` does it by itself.

    Args:
      model: a model from `quantize`.
      statistics: freeze those of BatchNormalization too. A training step inside a `tf.function`
        normalizes as it did when it was traced: make it anew after this call.

    Raises:
      UnsupportedError: not a quantized model.
    """
    set_progress(model, 1.0, Phases(freeze_statistics=0.0 if statistics else 1.0))


def thaw(model: Any) -> None:
    """Takes `freeze` back: formats, widths and statistics learn again.

    Args:
      model: a model from `quantize`.

    Raises:
      UnsupportedError: not a quantized model.
    """
    set_progress(model, 0.0, warm=True)


def was_trained(model: Any) -> bool:
    """Whether a schedule came to an end on this model, or to where widths learn."""
    return all(float(table.schedule().progress) > 0.0 for table in _tables(model))


def resumed(model: Any) -> tuple[bool, int | None]:
    """How a training that goes on began: whether with formats of an earlier one, and its steps.

    Returns:
      Whether it was warm, and the steps of an epoch, None where nobody knows.
    """
    states = [table.schedule() for table in _tables(model)]
    return all(float(each.warm) > 0.0 for each in states), int(states[0].steps) or None


def check_quantized(model: Any) -> None:
    """Refuses models without formats.

    Raises:
      UnsupportedError: not a quantized model.
    """
    _tables(model)


def _tables(model: Any) -> list[FormatTable]:
    tables = format_tables(model)
    if not tables:
        raise UnsupportedError(
            f"Expected a model from oaq_keras.quantize(), got {type(model).__name__} without "
            "formats. Call quantize(model) first."
        )
    return tables
