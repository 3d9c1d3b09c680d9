# SPDX-License-Identifier: Apache-2.0
"""What users of Keras 3 give to compile() and fit(), as tf_keras takes it.

Optimizers, losses and metrics become tf_keras's of the same name and configuration. Callbacks are
called as they are, through an adapter.
"""

import inspect
import sys
from typing import Any

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError

_BASES = {"optimizers": "Optimizer", "losses": "Loss", "metrics": "Metric"}
_REFUSED = {
    "TensorBoard": "tf_keras.callbacks.TensorBoard(...)",
    "BackupAndRestore": "tf_keras.callbacks.BackupAndRestore(...)",
    "SwapEMAWeights": "an optimizer with use_ema=False",
}
_INSTEAD = {
    "Lamb": "tf_keras.optimizers.AdamW",
    "Muon": "tf_keras.optimizers.SGD with momentum",
    "LossScaleOptimizer": "the optimizer inside it, since training is in float32",
    "MeanMetricWrapper": "the function that it wraps",
}
_HOOKS = [
    f"on_{phase}"
    for phase in (
        *("train_begin", "train_end", "test_begin", "test_end", "predict_begin", "predict_end"),
        *("epoch_begin", "epoch_end"),
        *("train_batch_begin", "train_batch_end", "test_batch_begin", "test_batch_end"),
        *("predict_batch_begin", "predict_batch_end"),
    )
]


def translated(value: Any) -> Any:
    """An argument of compile(): what is of Keras 3 as tf_keras has it, all else as it is.

    Args:
      value: an optimizer, a loss, a metric, or lists and mappings of these.

    Raises:
      UnsupportedError: tf_keras has nothing of that name, or not these settings.
    """
    if isinstance(value, dict):
        return {key: translated(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(translated(each) for each in value)
    if inspect.isfunction(value):
        return _function(value)
    if isinstance(value, str) and value.capitalize() in _INSTEAD:
        raise _missing(value.capitalize(), "optimizers")
    kind = _kind(value)
    return value if kind is None else _object(value, kind)


def _kind(value: Any) -> str | None:
    """Which of the modules in _BASES an object of Keras 3 belongs to; None for all others."""
    for base in type(value).__mro__:
        top, *rest = base.__module__.split(".")
        if top == "keras":
            found = [name for name in (*_BASES, "schedules") if name in rest]
            if found:
                return found[-1]
    return None


def _function(value: Any) -> Any:
    top, *rest = str(value.__module__).split(".")
    if top != "keras":
        return value
    for name in ("losses", "metrics"):
        found = getattr(getattr(keras, name), value.__name__, None) if name in rest else None
        if found is not None:
            return found
    return value


def _object(value: Any, kind: str) -> Any:
    name = type(value).__name__
    if kind == "losses" and not _tells_all(value) and _computes_in_tensorflow():
        return _LossOfKeras3(value)
    module = keras.optimizers.schedules if kind == "schedules" else getattr(keras, kind)
    target = getattr(module, name, None)
    of_keras = type(value).__module__.startswith("keras.")
    if target is None or name == "MeanMetricWrapper" or not of_keras:
        raise _missing(name, kind)
    config = dict(value.get_config())
    if kind == "optimizers" and isinstance(config.get("learning_rate"), dict):
        config["learning_rate"] = _schedule(config["learning_rate"])
    known = inspect.signature(target.__init__).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    config = {key: each for key, each in config.items() if takes_all or key in known}
    for key in ("loss_scale_factor", "gradient_accumulation_steps"):
        if config.pop(key, None) is not None:
            raise UnsupportedError(
                f"{name} has {key}, which tf_keras's does not have. Leave it out."
            )
    if kind != "optimizers" and isinstance(config.get("dtype"), dict):
        config["dtype"] = config["dtype"]["config"]["name"]
    try:
        return target(**config)
    except (TypeError, ValueError) as error:
        raise UnsupportedError(
            f"{name} of Keras 3 has settings that tf_keras's does not take: {error}. Give "
            f"tf_keras.{kind}.{name}(...)."
        ) from error


def _missing(name: str, kind: str) -> UnsupportedError:
    module = "optimizers.schedules" if kind == "schedules" else kind
    return UnsupportedError(
        f"{name} is of Keras 3, and the quantized model trains in tf_keras, which has none of "
        f"that name or cannot copy it. Give {_INSTEAD.get(name, f'one of tf_keras.{module}')}, or "
        f"a class of your own derived from "
        f"tf_keras.{module}.{_BASES.get(kind, 'LearningRateSchedule')}."
    )


def _tells_all(value: Any) -> bool:
    """Whether an object is of Keras 3 itself, and its config has all that it was made with."""
    made_with = inspect.signature(type(value).__init__).parameters.values()
    names = {each.name for each in made_with if each.kind is each.POSITIONAL_OR_KEYWORD}
    return (
        type(value).__module__.startswith("keras.")
        and hasattr(keras.losses, type(value).__name__)
        and names - {"self"} <= set(value.get_config())
    )


def _computes_in_tensorflow() -> bool:
    return str(sys.modules["keras"].config.backend()) == "tensorflow"


class _LossOfKeras3(keras.losses.Loss):
    """Calls a loss of Keras 3, whose backend is TensorFlow."""

    def __init__(self, inner: Any) -> None:
        name = {None: "none", "mean": "sum_over_batch_size"}.get(inner.reduction, inner.reduction)
        try:
            super().__init__(name, inner.name)
        except ValueError as error:
            raise UnsupportedError(
                f"The loss {inner.name!r} has the reduction {inner.reduction!r}, which tf_keras "
                "has not. Give 'sum', 'sum_over_batch_size' or 'none'."
            ) from error
        self.inner = inner

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses of a batch's examples."""
        return self.inner.call(y_true, y_pred)


def _schedule(entry: dict[str, Any]) -> Any:
    """A learning-rate schedule, which lies in an optimizer's config serialized."""
    target = getattr(keras.optimizers.schedules, entry["class_name"], None)
    if target is None:
        raise _missing(entry["class_name"], "schedules")
    return target(**entry["config"])


def adapted(callback: Any) -> Any:
    """A callback that tf_keras can call, for one of Keras 3; any other as it is.

    Raises:
      UnsupportedError: a callback that needs a model of Keras 3; the message names another.
    """
    of_keras3 = any(
        base.__module__.split(".")[0] == "keras" and base.__name__ == "Callback"
        for base in type(callback).__mro__
    )
    if not of_keras3:
        return callback
    name = type(callback).__name__
    if name in _REFUSED:
        raise UnsupportedError(
            f"The callback {name} of Keras 3 works on models of Keras 3 alone, and this one trains "
            f"in tf_keras. Give {_REFUSED[name]}."
        )
    return _Adapter(callback)


def _is_better_high(monitored: str) -> bool:
    """By the name, as tf_keras's callbacks tell it; and by those of `oaq_keras.metrics`."""
    name = monitored.removeprefix("val_")
    return "acc" in name or name.endswith(("auc", "fmeasure", "proven", "headroom"))


class _Adapter(keras.callbacks.Callback):
    """Passes everything on to a callback of Keras 3."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        if getattr(inner, "mode", None) == "auto" and isinstance(inner.monitor, str):
            # It would ask Keras 3's own metrics, which this model has none of.
            inner.mode = "max" if _is_better_high(inner.monitor) else "min"
        for hook in _HOOKS:
            setattr(self, hook, getattr(inner, hook))

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self.inner.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.inner.set_model(model)
