# SPDX-License-Identifier: Apache-2.0
"""The model that `quantize` returns: a functional Keras model whose `fit` runs the schedule."""

from typing import Any

from oaq_keras._keras import keras
from oaq_keras.callbacks import Schedule
from oaq_keras.distillation import Distillation
from oaq_keras.kernel_rounding import kernel_rounding


class QuantizedModel(keras.Model):
    """A functional model that is compiled and fitted as any other.

    Its `fit` adds `oaq_keras.callbacks.Schedule`, unless the caller gives one.

    Attributes:
      distillation: what the loss takes from a teacher besides; None for nothing.
    """

    distillation: Distillation | None = None

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: Any = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.fit`, its arguments in its order, with the schedule.

        Raises:
          ValueError: a CallbackList without a schedule, which cannot take one any more.
        """
        kwargs.update(x=x, y=y, batch_size=batch_size, epochs=epochs, verbose=verbose)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            if not any(isinstance(given, Schedule) for given in callbacks.callbacks):
                raise ValueError(
                    "The CallbackList given to fit() has no oaq_keras.callbacks.Schedule. Put one "
                    "into it, or pass a plain list of callbacks."
                )
            return super().fit(callbacks=callbacks, **kwargs)
        given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        listed = [callback for callback in given if callback is not None]
        if not any(isinstance(callback, Schedule) for callback in listed):
            listed.insert(0, Schedule())
        return super().fit(callbacks=listed, **kwargs)

    def test_step(self, data: Any) -> Any:
        """`keras.Model.test_step`, its forward pass rounding as the exported file does."""
        with kernel_rounding():
            return super().test_step(data)

    def predict_step(self, data: Any) -> Any:
        """`keras.Model.predict_step`, rounding as the exported file does."""
        with kernel_rounding():
            return super().predict_step(data)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        """The compiled loss and the overflow regularization, and the teacher's term if any."""
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        return loss if self.distillation is None else loss + self.distillation.loss(x, y_pred)
