# SPDX-License-Identifier: Apache-2.0
"""What a model is made of, whichever Keras it comes from: layers, and how each is called."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from oaq_keras.errors import UnsupportedError

Tensor = tuple[str, int, int]
"""A tensor of a model: the layer's name, which of its calls, and which of the call's outputs."""


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
      inputs: the tensors that it takes.
      as_list: whether the first argument is a list of tensors, even of one.
      arguments: further keyword arguments; tensors among them are `graph.Slot`s of `inputs`.
      training: what is said of training: False for a call that never trains; None for nothing.
    """

    inputs: list[Tensor]
    as_list: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    training: bool | None = None


@dataclass(frozen=True, eq=False)
class LayerView:
    """One layer of a model.

    Attributes:
      name: in that model.
      calls: in the order that tensors count them; none for inputs.
      make: by a name to take, an unbuilt tf_keras copy of the layer, and its weights.
      model: what the layer is made of, where it is a model itself.
      given: the layer itself, by which one that several models call is known.
    """

    name: str
    calls: list[Call]
    make: Callable[[str], tuple[Any, list[Any]]]
    model: "ModelView | None" = None
    given: Any = None


@dataclass(frozen=True, eq=False)
class ModelView:
    """The layers of a model, and which tensors are its inputs and outputs.

    Attributes:
      name: of the model.
      layers: in any order.
      inputs: its inputs, in the order of its arguments.
      outputs: its outputs, in the order of `keys` where it answers with a dict.
      keys: of that dict; None where it answers with a list or a tensor.
    """

    name: str
    layers: list[LayerView]
    inputs: list[Tensor]
    outputs: list[Tensor]
    keys: list[str] | None = None


def chain(name: str, first: LayerView, rest: list[LayerView]) -> ModelView:
    """The view of a model whose layers are called one after the other.

    Args:
      name: of the model.
      first: its input.
      rest: its layers; their calls are made here.
    """
    layers = [first]
    for layer in rest:
        call = Call([(layers[-1].name, 0, 0)])
        layers.append(replace(layer, calls=[call]))
    return ModelView(name, layers, [(first.name, 0, 0)], [(layers[-1].name, 0, 0)])


def listed_entries(entries: Any) -> list[Any]:
    """Input or output entries of a config, which holds a lone one without its list.

    Models take and give what is in a dict in the order of its keys.
    """
    if isinstance(entries, dict):
        return [entries[key] for key in sorted(entries)]
    return [entries] if entries and isinstance(entries[0], str) else list(entries)


def output_keys(entries: Any) -> list[str] | None:
    """The keys of a config's outputs, in their order; None where they have none."""
    return sorted(entries) if isinstance(entries, dict) else None


def input_name(model: Any) -> str:
    """A name for the input of a Sequential model, tf_keras or Keras 3.

    Raises:
      UnsupportedError: the model has no input shape yet.
    """
    if not model.built:
        raise UnsupportedError(
            f"Sequential model {model.name!r} has no input shape yet. Start it with "
            "keras.Input(shape=...), or call model.build(input_shape)."
        )
    name = "input"
    while any(layer.name == name for layer in model.layers):
        name += "_"
    return name


def subclassed(model: Any, keras_name: str) -> UnsupportedError:
    """The error for a model whose layers cannot be seen from outside."""
    return UnsupportedError(
        f"{keras_name} model {getattr(model, 'name', '')!r} is a subclassed model "
        f"({type(model).__name__}), whose layers cannot be seen from outside. Build it with the "
        "functional API: call its layers on keras.Input(shape=...) and pass "
        "keras.Model(inputs, outputs)."
    )


def several_outputs(name: str) -> UnsupportedError:
    """The error for a layer that answers with more than one tensor."""
    return UnsupportedError(
        f"Layer {name!r} has several outputs, and layers with several outputs cannot be quantized. "
        "Split it into layers with one output each."
    )


def called_with_dict(name: str) -> UnsupportedError:
    """The error for a layer or model that takes a dict of tensors."""
    return UnsupportedError(
        f"Layer {name!r} is called with a dict of tensors. Call it with a list, in the order "
        "of its inputs."
    )


def lambda_layer(name: str) -> UnsupportedError:
    """The error for a Lambda of which nothing is said."""
    return UnsupportedError(
        f"Layer {name!r} is a Lambda, whose function cannot be seen from outside. Use a "
        "stock layer, or say what it computes by "
        "quantize(custom_objects={'Lambda': function}), the function returning a tf_keras "
        "model for the layer."
    )


def gives_several(layer: Any) -> bool:
    """Whether a layer, tf_keras or Keras 3, answers with a list of tensors."""
    try:
        return isinstance(layer.output, (list, tuple))
    except (AttributeError, ValueError):  # it was not called, or more than once
        return False


def makes_a_mask(name: str, kind: str) -> UnsupportedError:
    """The error for a layer whose mask the layers behind it look at."""
    return UnsupportedError(
        f"Layer {name!r} ({kind}) makes a mask, which the layers behind it would look at and int8 "
        "TFLite does not know. Build the model without mask_zero and Masking."
    )


def own_activation(name: str) -> UnsupportedError:
    """The error for a layer whose activation is a function of the user's own, or a layer."""
    return UnsupportedError(
        f"Layer {name!r} has an activation that is no stock function. Give the layer none, and put "
        "a layer behind it: a stock one, or one of your own that custom_objects speaks of."
    )
