# SPDX-License-Identifier: Apache-2.0
"""The model that `quantize` returns: a functional Keras model whose `fit` runs the schedule."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from oaq_keras._compat import outlives_backup
from oaq_keras._keras import keras
from oaq_keras.callbacks import Schedule
from oaq_keras.distillation import Distillation
from oaq_keras.format_table import FormatTable, format_table
from oaq_keras.keras3_training import adapted, translated
from oaq_keras.kernel_rounding import kernel_rounding
from oaq_keras.metrics import Looks, Watch
from oaq_keras.shared_variables import tie

_CONFIG = "oaq_keras"
_SAID = ("answers", "float_layers", "tied")
_FROZEN = "frozen"
"""What `quantize` says of a model, and its config holds under _CONFIG."""


@dataclass(frozen=True)
class _Untracked:
    """Metrics that Keras does not take for a part of the model whose weights it saves."""

    value: Any


@keras.saving.register_keras_serializable("oaq_keras")
@outlives_backup
class QuantizedModel(keras.Model):
    """A functional model that is compiled and fitted as any other.

    Its `fit` adds `oaq_keras.callbacks.Schedule`, unless the caller gives one.

    Attributes:
      distillation: what the loss takes from a teacher besides; None for nothing.
      answers: what the given model called its outputs.
      float_layers: layers that are left in float, and why.
      tied: layers without a wrapper that train with another's weights, and that one.
      frozen_when_saved: layers that were frozen when the config was made that this came from.
    """

    distillation: Distillation | None = None
    answers: list[str] | None = None
    float_layers: Mapping[str, str] = MappingProxyType({})
    tied: Mapping[str, str] = MappingProxyType({})
    frozen_when_saved: tuple[str, ...] = ()
    _evaluates = False
    _looking = _Untracked(Watch(()))

    def get_config(self) -> dict[str, Any]:
        """The functional model's config, and what `quantize` said of it."""
        said = {name: _plain(getattr(self, name)) for name in _SAID}
        said[_FROZEN] = [layer.name for layer in self.layers if not layer.trainable]
        return {**super().get_config(), _CONFIG: said}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "QuantizedModel":
        """The inverse of `get_config`; its quantizers share one table of formats."""
        config = dict(config)
        said = config.pop(_CONFIG)
        with format_table(FormatTable()):
            model: QuantizedModel = super().from_config(config, custom_objects)
        for name in _SAID:
            setattr(model, name, said[name])
        model.frozen_when_saved = tuple(said[_FROZEN])
        for name, leader in model.tied.items():
            tie(model.get_layer(name), model.get_layer(leader))
        return model

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as before saving, with the optimizer's variables made."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizer()

    def distill(self, distillation: Distillation, model: Any) -> None:
        """Takes a teacher's answers into the loss of training.

        Args:
          distillation: with its teacher.
          model: the float model that this one was made of.
        """
        self.distillation = distillation
        self._answers_probabilities = distillation.answers_probabilities(model)
        self._divergence = _Untracked(keras.metrics.Mean("distillation"))

    @property
    def metrics(self) -> list[Any]:
        """Those of `keras.Model`, and in training what distillation adds to the loss."""
        if self.distillation is None or self._evaluates:
            return list(super().metrics)
        return [*super().metrics, self._divergence.value]

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """`keras.Model.compile`; what is of Keras 3 is taken as tf_keras's of the same name.

        Raises:
          UnsupportedError: tf_keras has nothing like it; the message says what to give.
        """
        self._looking = _Untracked(Watch([metrics, kwargs.get("weighted_metrics")]))
        if isinstance(kwargs.get("weighted_metrics"), (list, tuple, dict)):
            kwargs["weighted_metrics"] = translated(kwargs["weighted_metrics"])
        # Keras 3's: what it says of loss scaling is for optimizers that are refused here.
        kwargs.pop("auto_scale_loss", None)
        if kwargs.get("jit_compile") == "auto":
            del kwargs["jit_compile"]
        super().compile(translated(optimizer), translated(loss), translated(metrics), **kwargs)

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
        self.build_optimizer()
        kwargs.update(x=x, y=y, batch_size=batch_size, epochs=epochs, verbose=verbose)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            if not any(isinstance(given, Schedule) for given in callbacks.callbacks):
                raise ValueError(
                    "The CallbackList given to fit() has no oaq_keras.callbacks.Schedule. Put one "
                    "into it, or pass a plain list of callbacks."
                )
            return super().fit(callbacks=callbacks, **kwargs)
        listed = _adapted(callbacks)
        if not any(isinstance(callback, Schedule) for callback in listed):
            listed.insert(0, Schedule())
        return super().fit(callbacks=[*self._looks(), *listed], **kwargs)

    def evaluate(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`; callbacks may be of Keras 3."""
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = [*_adapted(callbacks), *self._looks()]
        return super().evaluate(*args, callbacks=callbacks, **kwargs)

    def predict(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        """`keras.Model.predict`; callbacks may be of Keras 3."""
        return super().predict(*args, callbacks=_adapted(callbacks), **kwargs)

    def _looks(self) -> list[Any]:
        watch = self._looking.value
        return [Looks(watch)] if watch else []

    def build_optimizer(self) -> None:
        """Makes the optimizer's variables, for which TensorFlow would trace the step twice."""
        optimizer: Any = getattr(self, "optimizer", None)
        if hasattr(optimizer, "build"):
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)

    def test_step(self, data: Any) -> Any:
        """`keras.Model.test_step`, its forward pass rounding as the exported file does."""
        self._evaluates = True
        try:
            with kernel_rounding():
                return super().test_step(data)
        finally:
            self._evaluates = False

    def predict_step(self, data: Any) -> Any:
        """`keras.Model.predict_step`, rounding as the exported file does."""
        with kernel_rounding():
            return super().predict_step(data)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        """The compiled loss and the overflow regularization, and in training the teacher's term."""
        if self.distillation is None or self._evaluates:
            return super().compute_loss(x, y, y_pred, sample_weight)
        term = self.distillation.loss(x, y_pred, self._answers_probabilities)
        self._divergence.value.update_state(term)
        return self.compiled_loss(
            y, y_pred, sample_weight, regularization_losses=[*self.losses, term]
        )


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _adapted(callbacks: Any) -> Any:
    """A list of callbacks that tf_keras can call; a CallbackList as it is."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [adapted(callback) for callback in given if callback is not None]
