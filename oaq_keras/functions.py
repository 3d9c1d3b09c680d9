# SPDX-License-Identifier: Apache-2.0
"""Functions of tensors in functional models, as the layers that compute the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from oaq_keras._keras import keras
from oaq_keras.activations import FROM_KERAS3
from oaq_keras.errors import UnsupportedError

layers = keras.layers

BINARY = {"add": "add", "subtract": "subtract", "sub": "subtract", "multiply": "multiply"}
BINARY |= {"mul": "multiply", "truediv": "divide", "true_divide": "divide", "divide": "divide"}
BINARY |= {"maximum": "maximum", "minimum": "minimum"}
_DEFAULTS = {"axis": -1, "approximate": False, "beta": 1.0}
ACTIVATIONS = {name: name for name in ("relu", "relu6", "sigmoid", "tanh", "gelu", "softmax")}
ACTIVATIONS |= FROM_KERAS3

_LAYERS = {
    "add": layers.Add,
    "subtract": layers.Subtract,
    "multiply": layers.Multiply,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
}


def layer_of(name: str, function: str, operands: Sequence[Any], settings: dict[str, Any]) -> Any:
    """The layer that computes a function.

    Args:
      name: of the call in the model, which becomes the layer's.
      function: what is called, such as "add", in lower case.
      operands: its arguments in order; None for each tensor.
      settings: its further arguments by name.

    Returns:
      An unbuilt tf_keras layer.

    Raises:
      UnsupportedError: there is no such layer; the message names the function.
    """
    tensors = [i for i, operand in enumerate(operands) if operand is None]
    others = {
        key: value
        for key, value in settings.items()
        if key != "name" and value is not None and value != _DEFAULTS.get(key)
    }
    if function in BINARY and len(operands) == 2:
        found = _binary(name, BINARY[function], operands)
        if found is not None:
            return found
    if function in ACTIVATIONS and len(operands) == 1 and not others:
        return layers.Activation(ACTIVATIONS[function], name=name)
    if function in ("mean", "reduce_mean") and len(tensors) == 1:
        axes = settings.get("axis", operands[1] if len(operands) > 1 else None)
        if isinstance(axes, (list, tuple)) and sorted(axes) in ([1, 2], [-3, -2]):
            keep = bool(settings.get("keepdims", False))
            return layers.GlobalAveragePooling2D(keepdims=keep, name=name)
    if function in ("concat", "concatenate") and len(tensors) > 1:
        return layers.Concatenate(axis=int(settings.get("axis", -1)), name=name)
    if function == "get_item":
        raise UnsupportedError(
            f"{name!r} takes a part of a tensor by indexing. Use a layer instead, such as "
            "Cropping2D."
        )
    raise UnsupportedError(
        f"{name!r} ({function}) is a function of tensors, and no layer computes the same. Use a "
        "layer instead, such as keras.layers.Add()([a, b]) for a + b, or leave it out of the model "
        "and run it on the .tflite file's output."
    )


def _binary(name: str, function: str, operands: Sequence[Any]) -> Any:
    """The layer for two operands, one of which may be a constant; None where there is none."""
    first, second = operands
    if first is None and second is None:
        kind = _LAYERS.get(function)
        return None if kind is None else kind(name=name)
    constant = second if first is None else first
    if not isinstance(constant, (int, float, list, tuple, np.ndarray)):
        return None
    values = np.asarray(constant, np.float64)
    if values.ndim > 1:
        return None
    scale, offset = {
        "add": (1.0, values),
        "subtract": (1.0, -values) if first is None else (-1.0, values),
        "multiply": (values, 0.0),
        "divide": (1.0 / values, 0.0) if first is None else (None, None),
    }.get(function, (None, None))
    if scale is None:
        return None
    return layers.Rescaling(np.asarray(scale).tolist(), np.asarray(offset).tolist(), name=name)
