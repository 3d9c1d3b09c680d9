# SPDX-License-Identifier: Apache-2.0
"""Keras metrics of what overflow aware training is about, for the progress line and the history.

```python
model.compile("adam", loss, metrics=["accuracy", oaq_keras.metrics.ProvenShare()])
```

They are figures of weights and formats, not of batches: `fit` and `evaluate` look at the model now
and then, so that looking takes no more than a hundredth of the time, and at the end of epochs.
"""

import time
from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.errors import UnsupportedError
from oaq_keras.trained import figures, format_tables

_PAUSE = 100.0
"""Between two looks, in times that a look takes."""


class _OfModel(keras.metrics.Metric):
    """A figure of a model, as it was when somebody looked last."""

    default_name: str

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        """Makes the metric; arguments are those of a Keras metric."""
        super().__init__(name=name or self.default_name, **kwargs)
        self.value = self.add_weight(name="value", initializer="zeros")

    def look(self, model: Any, found: Any) -> None:
        """Takes the figure of this moment.

        Args:
          model: from `quantize`.
          found: its `trained.figures`.
        """
        raise NotImplementedError

    @tf.autograph.experimental.do_not_convert
    def update_state(self, *_: Any, **__: Any) -> None:
        """Nothing: batches do not tell it."""

    def reset_state(self) -> None:
        """Nothing: it stays until the next look."""

    def result(self) -> Any:
        """The figure, a float32 scalar."""
        return tf.identity(self.value)


class _Whole(_OfModel):
    """One of `trained.figures`."""

    place: int

    def look(self, model: Any, found: Any) -> None:
        """Takes its own."""
        del model
        self.value.assign(found[self.place])


@keras.saving.register_keras_serializable("oaq_keras")
class ProvenShare(_Whole):
    """Share of the MACs, 0 to 1, in channels whose codes fit at the depth asked for."""

    default_name, place = "proven", 0


@keras.saving.register_keras_serializable("oaq_keras")
class Headroom(_Whole):
    """How far the layer with the least is from what the accumulator holds, in bits."""

    default_name, place = "headroom", 1


@keras.saving.register_keras_serializable("oaq_keras")
class WeightBitsGivenUp(_Whole):
    """Bits of weight resolution given up so that sums fit: log2 alpha, weighted by MACs."""

    default_name, place = "weight_bits_given_up", 2


@keras.saving.register_keras_serializable("oaq_keras")
class ActivationBits(_Whole):
    """log2 of the activations' mean number of codes, weighted by the MACs that read them."""

    default_name, place = "activation_bits", 3


@keras.saving.register_keras_serializable("oaq_keras")
class Width(_OfModel):
    """hi - lo of one activation format, in codes; `widths` makes those of all that are learnt."""

    def __init__(self, layer: str, name: str | None = None, **kwargs: Any) -> None:
        """Makes the metric.

        Args:
          layer: whose output has the format; formats are named as in `Summaries`.
          name: "width_" and the layer by default.
          **kwargs: of a Keras metric.
        """
        super().__init__(name or f"width_{layer}", **kwargs)
        self.layer = layer

    def look(self, model: Any, found: Any) -> None:
        """Takes the width.

        Raises:
          UnsupportedError: the model has no such format; the message names those there are.
        """
        del found
        tables = format_tables(model)
        known = [name for table in tables for name, _ in table.items()]
        if self.layer not in known:
            raise UnsupportedError(
                f"Width({self.layer!r}): the model has no format of that name, but "
                f"{', '.join(known)}."
            )
        (table,) = (table for table in tables if self.layer in dict(table.items()))
        self.value.assign(table.width(self.layer))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "layer": self.layer}


def widths(model: Any) -> list[Width]:
    """A metric for each width of a model that is learnt.

    Args:
      model: from `quantize`.
    """
    return [
        Width(name)
        for table in format_tables(model)
        for name, variables in table.items()
        if "log2_width" in variables
    ]


class Watch:
    """Has the metrics of this module look at a model; what they look at is traced once."""

    def __init__(self, metrics: Any) -> None:
        """Takes, of an argument of compile(), those that look at the model."""
        self._given = _of_model(tf.nest.flatten(metrics))
        self._figures: Any = None

    def __bool__(self) -> bool:
        """Whether there is something to look at."""
        return bool(self._given)

    def metrics(self, model: Any) -> list[_OfModel]:
        """Those that were given, and the copies that Keras makes for each of several outputs."""
        found = {id(each): each for each in [*self._given, *_of_model(model.metrics)]}
        return list(found.values())

    def __call__(self, model: Any) -> None:
        """Looks at a model, which is the same each time."""
        if self._figures is None:
            self._figures = tf.function(lambda: figures(model), autograph=False)
        found = self._figures()
        for metric in self.metrics(model):
            metric.look(model, found)


def _of_model(metrics: Any) -> list[_OfModel]:
    return [each for each in metrics if isinstance(each, _OfModel)]


class Looks(keras.callbacks.Callback):
    """Has metrics look at the model that is trained or evaluated."""

    def __init__(self, watch: Watch) -> None:
        """Makes the callback."""
        super().__init__()
        self.watch = watch
        self._due = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks where it is time to."""
        del batch, logs
        if time.monotonic() >= self._due:
            self._look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at what the epoch came to, for the callbacks that follow."""
        del epoch
        self._look()
        for metric in self.watch.metrics(self.model):
            if logs is not None and metric.name in logs:
                logs[metric.name] = float(metric.result())

    def on_test_begin(self, logs: Any = None) -> None:
        """Looks once."""
        del logs
        self._look()

    def _look(self) -> None:
        begun = time.monotonic()
        self.watch(self.model)
        ended = time.monotonic()
        self._due = ended + _PAUSE * (ended - begun)
