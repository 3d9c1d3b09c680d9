# SPDX-License-Identifier: Apache-2.0
"""Keras metrics of what overflow aware training is about, for the progress line and the history.

```python
model.compile("adam", loss, metrics=["accuracy", oaq_keras.metrics.ProvenShare()])
```

They are figures of weights and formats, not of batches: `fit` and `evaluate` look at the model now
and then, so that looking takes no more than a hundredth of the time, and at the end of epochs.
"""

import time
from collections.abc import Iterable
from typing import Any, Protocol

from oaq_keras._keras import keras, tf
from oaq_keras.trained import inflation_bits, least_headroom, mean_width, proven_share

_PAUSE = 100.0
"""Between two looks, in times that a look takes."""


class _Figure(Protocol):
    """A figure of a model from `quantize`."""

    def __call__(self, model: Any) -> float: ...


class _OfModel(keras.metrics.Metric):
    """A figure of a model, as it was when somebody looked last."""

    default_name: str
    figure: _Figure

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        """Makes the metric; arguments are those of a Keras metric."""
        super().__init__(name=name or self.default_name, **kwargs)
        self.value = self.add_weight(name="value", initializer="zeros")

    def look(self, model: Any) -> None:
        """Takes the figure of this moment."""
        self.value.assign(self.figure(model))

    def update_state(self, *_: Any, **__: Any) -> None:
        """Nothing: batches do not tell it."""

    def reset_state(self) -> None:
        """Nothing: it stays until the next look."""

    def result(self) -> Any:
        """The figure, a float32 scalar."""
        return tf.identity(self.value)


@keras.saving.register_keras_serializable("oaq_keras")
class ProvenShare(_OfModel):
    """Share of the MACs, 0 to 1, in channels whose codes fit at the depth asked for."""

    default_name = "proven"
    figure = staticmethod(proven_share)


@keras.saving.register_keras_serializable("oaq_keras")
class Headroom(_OfModel):
    """How far the layer with the least is from what the accumulator holds, in bits."""

    default_name = "headroom"
    figure = staticmethod(least_headroom)


@keras.saving.register_keras_serializable("oaq_keras")
class WeightBitsGivenUp(_OfModel):
    """Bits of weight resolution given up so that sums fit: log2 alpha, weighted by MACs."""

    default_name = "weight_bits_given_up"
    figure = staticmethod(inflation_bits)


@keras.saving.register_keras_serializable("oaq_keras")
class ActivationBits(_OfModel):
    """log2 of the activations' mean number of codes, weighted by the MACs that read them."""

    default_name = "activation_bits"
    figure = staticmethod(mean_width)


def of_model(metrics: Any) -> list[Any]:
    """Those of an argument of compile() that look at the model."""
    return [each for each in tf.nest.flatten(metrics) if isinstance(each, _OfModel)]


class Looks(keras.callbacks.Callback):
    """Has metrics look at the model that is trained or evaluated."""

    def __init__(self, metrics: Iterable[Any]) -> None:
        """Makes the callback for metrics of this module."""
        super().__init__()
        self.metrics = list(metrics)
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
        for metric in self.metrics:
            if logs is not None and metric.name in logs:
                logs[metric.name] = float(metric.result())

    def on_test_begin(self, logs: Any = None) -> None:
        """Looks once."""
        del logs
        self._look()

    def _look(self) -> None:
        begun = time.monotonic()
        for metric in self.metrics:
            metric.look(self.model)
        ended = time.monotonic()
        self._due = ended + _PAUSE * (ended - begun)
