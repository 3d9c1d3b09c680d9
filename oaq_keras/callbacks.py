# SPDX-License-Identifier: Apache-2.0
"""Keras callbacks: the schedule that `fit` runs by itself, and what certificates would say.

```python
model.fit(x, y, epochs=10)  # the schedule runs
model.fit(x, y, epochs=10, callbacks=[oaq_keras.callbacks.Schedule(freeze=0.8)])  # another one
model.fit(x, y, epochs=10, callbacks=[oaq_keras.callbacks.Certificates()])  # more in the logs
```
"""

import warnings
from typing import Any

from oaq_keras._keras import keras
from oaq_keras.schedule import Phases, check_quantized, resumed, set_progress, was_trained
from oaq_keras.summaries import Summaries
from oaq_keras.trained import figures

__all__ = ["Certificates", "Schedule", "Summaries"]

_RAMP_STEPS = 50


class Schedule(keras.callbacks.Callback):
    """Calibrates, then learns clips, then widths too, and at last freezes formats.

    A `fit` that starts at `initial_epoch` goes on where an earlier one stopped. Any other starts
    anew, but with the formats of a model that was trained before it neither calibrates nor holds
    widths: they learn until the freezing.
    """

    def __init__(
        self,
        learn_widths: float = 0.1,
        freeze: float = 0.7,
        ramp: float = 0.2,
        freeze_statistics: float = 1.0,
    ) -> None:
        """Makes a schedule.

        Args:
          learn_widths: share of the training after which widths learn.
          freeze: share after which formats stay; 1 for never.
          ramp: share at which the overflow regularization has its full weight.
          freeze_statistics: share after which BatchNormalization statistics stay; 1 for never.
            Batches too small for statistics gain by it, others lose.

        Raises:
          ValueError: a share out of 0..1, or freezing before learning.
        """
        super().__init__()
        self.phases = Phases(learn_widths, freeze, ramp, freeze_statistics)
        self._epoch = self._seen = 0
        self._steps: int | None = None
        self._warm = self._begun = False
        self._last: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Reads how long the training is."""
        del logs
        self._steps = self.params.get("steps")
        self._warm = was_trained(self.model)
        self._last, self._begun = None, False
        if self._steps is None and self._epochs() == 1:
            warnings.warn(
                "fit() cannot know how many steps its data has, so formats will not be frozen. "
                "Give steps_per_epoch, or more than one epoch.",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts."""
        del logs
        self._epoch, self._seen = epoch, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Moves the model's state where a phase begins."""
        del logs
        if not self._begun:
            self._begin(batch)
        progress = self._progress(batch)
        phases = self.phases
        ramp = round(_RAMP_STEPS * phases.ramp_at(progress))
        shares = (phases.learn_widths, phases.freeze, phases.freeze_statistics)
        now = (*(progress >= share for share in shares), ramp)
        if now != self._last:
            self._last = now
            self._move(progress)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts; a batch may begin and not be there, behind the last of a generator."""
        del logs
        self._seen = batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Learns the steps of an epoch whose data did not say how many it has."""
        del logs
        if self._steps is None:
            self._steps = max(self._seen, 1)
        self._move((epoch + 1) / self._epochs())

    def _begin(self, batch: int) -> None:
        """Goes on as the training began whose first steps were made by another `fit`."""
        self._begun = True
        if self._epoch or batch:
            self._warm, steps = resumed(self.model)
            self._steps = self._steps or steps

    def _epochs(self) -> int:
        return max(int(self.params.get("epochs") or 1), 1)

    def _progress(self, batch: int) -> float:
        if self._steps is None:
            # Of a single epoch of unknown length all that is sure is that it began.
            return self.phases.learn_widths if self._epochs() == 1 else self._epoch / self._epochs()
        return (self._epoch + min(batch / self._steps, 1.0)) / self._epochs()

    def _move(self, progress: float) -> None:
        if set_progress(self.model, progress, self.phases, self._warm, self._steps or 0):
            # Traced with batch statistics, or with moving ones: make the step anew.
            self.model.make_train_function(force=True)


class Certificates(keras.callbacks.Callback):
    """Adds what certificates would say to the logs of each epoch.

    `proven`: share of the MACs in channels whose codes of this moment fit at the depth asked for;
    `weight_bits_given_up`: log2 alpha, what fitting costs, weighted by MACs;
    `activation_bits`: log2 of the mean width, weighted by the MACs that read it.

    It costs a look at all weights, once every `every` epochs, and no look at data.
    """

    def __init__(self, every: int = 1) -> None:
        """Makes the callback; it looks at every `every`-th epoch.

        Raises:
          ValueError: `every` is not a whole number from 1.
        """
        super().__init__()
        if type(every) is not int or every < 1:
            raise ValueError(f"every is a number of epochs, 1 or more, got {every!r}.")
        self.every = every

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses models without formats.

        Raises:
          UnsupportedError: not a quantized model.
        """
        del logs
        check_quantized(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes into the logs, which later callbacks see too."""
        if logs is None or (epoch + 1) % self.every:
            return
        proven, _, given_up, bits = (float(each) for each in figures(self.model))
        logs["proven"], logs["weight_bits_given_up"] = proven, given_up
        logs["activation_bits"] = bits
