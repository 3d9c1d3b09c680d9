# SPDX-License-Identifier: Apache-2.0
"""The activation formats of one model by name, and the state of its training schedule."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from oaq_keras._keras import keras, tf
from oaq_keras.formats import CODES, ActivationFormat
from oaq_keras.kernel_rounding import Sums

CALIBRATION_STEPS = 8
"""Training steps whose activations set the first clip of every format."""

_WIDTH, _FROZEN, _RAMP, _PROGRESS, _WARM, _STEPS = range(6)
_FIRST_STATE = (1.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class ScheduleState:
    """Where training is, in one variable, so that graphs follow it and checkpoints hold it.

    Without a schedule widths learn, nothing is frozen, and the regularization has its full weight.
    """

    def __init__(self, variable: Any) -> None:
        """Reads and writes a float32 variable of shape [6]."""
        self.variable = variable

    @property
    def learns_width(self) -> Any:
        """1.0 where widths are trained, 0.0 where they stay."""
        return self.variable[_WIDTH]

    @property
    def frozen(self) -> Any:
        """1.0 where formats stay as they are."""
        return self.variable[_FROZEN]

    @property
    def ramp(self) -> Any:
        """The share of lambda that counts now, 0 to 1."""
        return self.variable[_RAMP]

    @property
    def progress(self) -> Any:
        """The share of the schedule that is done, 0 to 1; 0 where none was followed."""
        return self.variable[_PROGRESS]

    @property
    def warm(self) -> Any:
        """1.0 where the training began with formats of an earlier one."""
        return self.variable[_WARM]

    @property
    def steps(self) -> Any:
        """Steps of an epoch; 0 where nobody knows."""
        return self.variable[_STEPS]

    def assign(
        self,
        learns_width: bool,
        frozen: bool,
        ramp: float,
        progress: float,
        warm: bool = False,
        steps: int = 0,
    ) -> None:
        """Sets all of it."""
        flags = float(learns_width), float(frozen)
        self.variable.assign([*flags, ramp, progress, float(warm), float(steps)])


class FormatTable:
    """The activation formats of one model, by name, so that weights can see their input's width.

    Attributes:
      observing: while True, quantizers called eagerly calibrate outside training too.
      statistics_frozen: whether training is traced with BatchNormalization's moving statistics.
      shared: variables that several layers train together, by the first layer's name.
    """

    def __init__(self) -> None:
        """Makes an empty table."""
        self.observing = False
        self.statistics_frozen = False
        self.shared: dict[str, dict[str, Any]] = {}
        self._variables: dict[str, dict[str, Any]] = {}
        self._widths: dict[str, Callable[[], Any]] = {}
        self._steps: dict[str, Callable[[], Any]] = {}
        self._given_widths: set[str] = set()
        self._schedule: ScheduleState | None = None
        self._sums: dict[str, Callable[[], Sums | None]] = {}
        self._normalizations: dict[str, Callable[[], tuple[Any, Any]]] = {}

    def enter_sums(self, name: str, sums: Callable[[], Sums | None]) -> None:
        """Enters what tells the sums of a layer with weights."""
        self._sums[name] = sums

    def sums(self, name: str | None) -> Sums | None:
        """The sums of a layer, a normalization folded in, in inference; None where unknown."""
        sums = None if name is None else self._sums.get(name)
        return None if sums is None else sums()

    def enter_normalization(self, name: str, affine: Callable[[], tuple[Any, Any]]) -> None:
        """Enters what tells gain and shift of a BatchNormalization in inference."""
        self._normalizations[name] = affine

    def normalization(self, name: str) -> tuple[Any, Any] | None:
        """Gain and shift of a BatchNormalization, [channels] each; None where it is not known."""
        affine = self._normalizations.get(name)
        return None if affine is None else affine()

    def schedule(self, layer: Any = None) -> ScheduleState:
        """The state of training; the first layer that asks owns its variable.

        Raises:
          ValueError: nobody built it yet, and no layer is given.
        """
        if self._schedule is None:
            if layer is None:
                raise ValueError("No quantizer of this table was built yet; build the model first.")
            self._schedule = ScheduleState(
                layer.add_weight(
                    "schedule",
                    shape=(len(_FIRST_STATE),),
                    initializer=keras.initializers.Constant(_FIRST_STATE),
                    trainable=False,
                )
            )
        return self._schedule

    def variables(self, name: str) -> dict[str, Any] | None:
        """The variables of a format, None where no quantizer of that name was built."""
        return self._variables.get(name)

    def add(
        self,
        name: str,
        variables: dict[str, Any],
        width: Callable[[], Any],
        step: Callable[[], Any],
    ) -> None:
        """Enters a format that a quantizer built, with what tells its width and its step."""
        self._variables[name] = variables
        self._widths[name] = width
        self._steps[name] = step

    def keep_width(self, name: str) -> None:
        """Says that the width of a format was given, so that nobody is to choose another."""
        self._given_widths.add(name)

    def is_width_given(self, name: str) -> bool:
        """Whether the width of a format was given."""
        return name in self._given_widths

    def free_widths(self) -> list[str]:
        """Closed formats whose width is to be chosen."""
        return [
            name
            for name, variables in self._variables.items()
            if "log2_width" in variables and name not in self._given_widths
        ]

    def start_width(self, name: str, width: int) -> None:
        """Sets the width of a closed format, as if it had been made with it."""
        self._variables[name]["log2_width"].assign(math.log2(width))
        self.hold()

    def scale(self, name: str | None) -> float | None:
        """Real value of one code step of a format; None where the format is unknown."""
        step = self.step(name)
        return None if step is None else float(step)

    def step(self, name: str | None) -> Any:
        """The same as a float32 scalar, for graphs."""
        step = None if name is None else self._steps.get(name)
        return None if step is None else step()

    def choose(self, name: str, form: ActivationFormat) -> None:
        """Gives a format the values of another, as if it had been calibrated."""
        variables = self._variables[name]
        above = (form.high - form.zero_point) * form.scale
        if "low" in variables:
            below = (form.low - form.zero_point) * form.scale
            for side, value in (("low", below), ("high", above)):
                _fill(variables[side], value)
        else:
            variables["log2_clip"].assign(math.log2(above))
            variables["log2_width"].assign(math.log2(form.width))
        _fill(variables["calibrated"], CALIBRATION_STEPS)
        self.hold()

    def width(self, name: str | None) -> Any:
        """Hi - lo of a format in codes, a float32 scalar; 255 where the format is unknown."""
        width = self._widths.get(name) if name is not None else None
        return width() if width is not None else tf.constant(float(CODES.width))

    def hold(self) -> None:
        """Makes the formats of this moment those that freezing keeps."""
        for variables in self._variables.values():
            if "kept" in variables:
                kept = (variables["log2_clip"], variables["log2_width"])
                variables["kept"].assign(tf.stack([tf.convert_to_tensor(each) for each in kept]))

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Names and variables of all formats."""
        return list(self._variables.items())


def _fill(variable: Any, value: float) -> None:
    variable.assign(np.full(variable.shape, value, np.float32))


_table: ContextVar[FormatTable | None] = ContextVar("oaq_keras_format_table", default=None)


@contextmanager
def format_table(table: FormatTable) -> Iterator[FormatTable]:
    """Quantizers deserialized inside this scope share `table`."""
    token = _table.set(table)
    try:
        yield table
    finally:
        _table.reset(token)


def current_table() -> FormatTable:
    """The table of the current scope, or a new one."""
    return _table.get() or FormatTable()
