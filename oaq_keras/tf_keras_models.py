# SPDX-License-Identifier: Apache-2.0
"""Views of tf_keras models, read from their config."""

from typing import Any

from oaq_keras._keras import keras
from oaq_keras.convnext import is_of_convnext, stock_layer
from oaq_keras.custom_objects import CustomObjects, mark, model_for, treatment
from oaq_keras.errors import UnsupportedError
from oaq_keras.functions import layer_of
from oaq_keras.graph import Graph, Slot
from oaq_keras.model_views import (
    Call,
    LayerView,
    ModelView,
    Tensor,
    called_with_dict,
    chain,
    gives_several,
    input_name,
    lambda_layer,
    listed_entries,
    makes_a_mask,
    output_keys,
    own_activation,
    several_outputs,
    subclassed,
)
from oaq_keras.reading import copied, graph_of, input_view


def read_model(model: Any, custom: CustomObjects | None = None) -> Graph:
    """Reads a built tf_keras Sequential or Functional model.

    Args:
      model: the model; it is not changed.
      custom: how layers of the user's own are treated.

    Raises:
      UnsupportedError: a subclassed model, a layer with several outputs, or a function that no
        layer computes; the message names it.
    """
    return graph_of(view_of(model, custom or {}))


def view_of(model: Any, custom: CustomObjects) -> ModelView:
    """The view of a tf_keras model; errors as for `read_model`."""
    if isinstance(model, keras.Sequential):
        name = input_name(model)
        first = input_view(name, model.input_shape, model.inputs[0].dtype.name)
        return chain(model.name, first, [_layer(layer, [], custom) for layer in model.layers])
    if not _is_functional(model):
        raise subclassed(model, "tf_keras")
    config = model.get_config()
    layers = {layer.name: layer for layer in model.layers}
    return ModelView(
        model.name,
        [_entry(layers[entry["name"]], entry, custom) for entry in config["layers"]],
        [_tensor(entry) for entry in listed_entries(config["input_layers"])],
        [_tensor(entry) for entry in listed_entries(config["output_layers"])],
        output_keys(config["output_layers"]),
    )


def read_calls(config: dict[str, Any]) -> dict[str, Call]:
    """How the layers of a functional model's config are called, each once, in their order."""
    return {
        entry["name"]: _call(entry["name"], entry["inbound_nodes"][0])
        if entry["inbound_nodes"]
        else Call([])
        for entry in config["layers"]
    }


def _is_functional(model: Any) -> bool:
    try:
        return "output_layers" in model.get_config()
    except (AttributeError, NotImplementedError):
        return False


def _tensor(entry: Any) -> Tensor:
    return str(entry[0]), int(entry[1]), int(entry[2])


def _entry(layer: Any, entry: dict[str, Any], custom: CustomObjects) -> LayerView:
    kind = entry["class_name"]
    if kind == "TFOpLambda":
        return _function(layer, entry["inbound_nodes"])
    if kind == "SlicingOpLambda":
        raise UnsupportedError(
            f"{layer.name!r} takes a part of a tensor by indexing. Use a layer instead, such as "
            "Cropping2D."
        )
    return _layer(layer, [_call(layer.name, call) for call in entry["inbound_nodes"]], custom)


def _layer(layer: Any, calls: list[Call], custom: CustomObjects) -> LayerView:
    if is_of_convnext(layer):
        return LayerView(layer.name, calls, lambda name: stock_layer(layer, name))
    how = treatment(layer, custom)
    if type(layer) is keras.layers.Lambda and how is None:
        raise lambda_layer(layer.name)
    inner = model_for(layer, how) if callable(how) else layer
    if isinstance(inner, keras.Model):
        return LayerView(layer.name, calls, lambda name: (None, []), view_of(inner, custom))
    if isinstance(layer, keras.layers.InputLayer):
        config = layer.get_config()
        return input_view(layer.name, config["batch_input_shape"], config["dtype"])
    if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
        raise makes_a_mask(layer.name, type(layer).__name__)
    if gives_several(layer):
        raise several_outputs(layer.name)
    _check_activation(layer)
    return LayerView(
        layer.name,
        calls,
        lambda name: (mark(copied(layer, name), how), layer.get_weights()),
        given=layer,
    )


def _check_activation(layer: Any) -> None:
    """Refuses functions that only have the name of a stock activation, or none."""
    config = layer.get_config()
    for key in ("activation", "recurrent_activation"):
        if key not in config:
            continue
        function = getattr(layer, key, None)
        try:
            known = keras.activations.get(config[key])
        except (ValueError, TypeError):
            known = None
        if function is not None and known is not function:
            raise own_activation(layer.name)


def _call(name: str, call: Any) -> Call:
    """One entry of `inbound_nodes`."""
    if isinstance(call, dict):
        raise called_with_dict(name)
    entries = listed_entries(call)
    inputs: list[Tensor] = []
    arguments: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry[0], str) or entry[0] == "_CONSTANT_VALUE":
            raise UnsupportedError(
                f"Layer {name!r} is called with {entry[:3]!r}, which is not a tensor of the model. "
                "Pass tensors alone, constants as weights of a layer."
            )
        inputs.append(_tensor(entry))
        if len(entry) > 3:
            arguments.update(entry[3])
    found: dict[str, Any] = {}
    for key, value in arguments.items():
        if _is_tensor(value):
            found[key] = Slot(len(inputs))
            inputs.append(_tensor(value))
        else:
            found[key] = value
    training = found.pop("training", None)
    return Call(inputs, len(entries) > 1, found, training)


def _is_tensor(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and value[0] != "_CONSTANT_VALUE"
        and all(isinstance(number, int) for number in value[1:3])
    )


def _function(layer: Any, calls: list[Any]) -> LayerView:
    """What Python operators and TensorFlow functions on tensors leave in a model."""
    function = str(layer.get_config()["function"]).rpartition(".")[2]
    found: list[Call] = []
    operands: list[Any] = []
    settings: dict[str, Any] = {}
    for call in calls:
        inputs: list[Tensor] = []
        operands, settings = [], {}
        for entry in listed_entries(call):
            given = [entry[2] if entry[0] == "_CONSTANT_VALUE" else entry]
            settings = dict(entry[3]) if len(entry) > 3 else {}
            given += [settings.pop(key) for key in ("y", "b") if key in settings]
            for operand in given:
                is_tensor = _is_tensor(operand)
                inputs += [_tensor(operand)] if is_tensor else []
                operands.append(None if is_tensor else operand)
        settings.pop("name", None)
        found.append(Call(inputs, len(inputs) > 1))
    made = layer_of(layer.name, function, operands, settings)
    return LayerView(layer.name, found, lambda name: (copied(made, name), []))
