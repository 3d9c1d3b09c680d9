# SPDX-License-Identifier: Apache-2.0
"""What users say of layers of their own: how each is to be quantized."""

from collections.abc import Callable, Mapping
from typing import Any

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError

Treatment = str | Callable[[Any], Any]
"""SAME, FLOAT, or a function of the layer that returns a model which computes the same."""

CustomObjects = Mapping[Any, Treatment]
"""Treatments by class, or by the class's name."""

SAME, FLOAT = "same", "float"
_ATTRIBUTE = "_oaq_keras_treatment"


def check(custom: CustomObjects) -> None:
    """Refuses what is no treatment.

    Raises:
      ValueError: the class, and what was said of it.
    """
    for kind, how in custom.items():
        if not isinstance(kind, (str, type)) or not (how in (SAME, FLOAT) or callable(how)):
            raise ValueError(
                "custom_objects is a mapping of layer classes, or their names, to 'same', 'float' "
                "or a function that returns a tf_keras model for the layer; got the entry "
                f"{kind!r}: {how!r}."
            )


def treatment(layer: Any, custom: CustomObjects) -> Treatment | None:
    """What is said of a layer; None where nothing is."""
    return custom.get(type(layer), custom.get(type(layer).__name__))


def model_for(layer: Any, how: Callable[[Any], Any]) -> Any:
    """The tf_keras model that computes what a layer does.

    Raises:
      UnsupportedError: the function gives something else; the message names the layer.
    """
    try:
        found = how(layer)
    except Exception as error:
        raise UnsupportedError(
            f"The function that custom_objects has for {type(layer).__name__} failed on layer "
            f"{layer.name!r}: {type(error).__name__}: {error}. It gets the layer as the model has "
            "it, of Keras 3 in models of Keras 3."
        ) from error
    if not isinstance(found, keras.Model) or not found.inputs:
        raise UnsupportedError(
            f"custom_objects has a function for {type(layer).__name__}, which gave "
            f"{type(found).__name__} for layer {layer.name!r}. It is to return a functional model, "
            "tf_keras.Model(inputs, outputs), with the layer's weights in it."
        )
    return found


def mark(layer: Any, how: Treatment | None) -> Any:
    """The layer, with what is said of it."""
    if how is not None:
        setattr(layer, _ATTRIBUTE, how)
    return layer


def marked(layer: Any) -> Treatment | None:
    """What `mark` said of a layer."""
    found: Treatment | None = getattr(layer, _ATTRIBUTE, None)
    return found
