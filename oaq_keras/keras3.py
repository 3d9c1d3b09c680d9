# SPDX-License-Identifier: Apache-2.0
"""Views of Keras 3 models, read from their public config; layers become those of tf_keras."""

import inspect
import re
from typing import Any

from oaq_keras import tf_keras_models
from oaq_keras._keras import keras
from oaq_keras.activations import FROM_KERAS3
from oaq_keras.convnext import is_of_convnext, stock_layer
from oaq_keras.custom_objects import CustomObjects, model_for, treatment
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

_INTERNAL_KEYS = ("quantization_config", "build_config", "optional", "sparse", "ragged")
_MODELS = ("Functional", "Sequential")
_OF_EVERY_LAYER = ("name", "trainable", "dtype")
_STATELESS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout")


def is_keras3_model(model: Any) -> bool:
    """Whether `model` is a Keras 3 model, without importing Keras 3."""
    return any(
        kind.__module__.split(".")[0] == "keras" and kind.__name__ == "Model"
        for kind in type(model).__mro__
    )


def read_keras3_model(model: Any, custom: CustomObjects | None = None) -> Graph:
    """Reads a built Keras 3 Sequential or Functional model.

    Args:
      model: the model; it is not changed.
      custom: how layers of the user's own are treated.

    Raises:
      UnsupportedError: a subclassed model, a layer with several outputs, a function that no layer
        computes, or a layer that tf_keras does not have; the message names it.
    """
    return graph_of(view_of(model, custom or {}))


def view_of(model: Any, custom: CustomObjects) -> ModelView:
    """The view of a Keras 3 model; errors as for `read_keras3_model`."""
    kinds = {base.__name__ for base in type(model).__mro__}
    if "Sequential" in kinds:
        name = input_name(model)
        first = input_view(name, model.input_shape, model.inputs[0].dtype)
        return chain(
            model.name, first, [_layer(_entry(layer), layer, custom) for layer in model.layers]
        )
    if "Functional" not in kinds:
        raise subclassed(model, "Keras 3")
    config = model.get_config()
    layers = {operation.name: operation for operation in model.operations}
    # A functional model's outputs count the call by which an inner one was made; calls do not.
    made = {entry["name"] for entry in config["layers"] if entry["class_name"] == "Functional"}
    outputs = [_tensor(entry) for entry in listed_entries(config["output_layers"])]
    return ModelView(
        config["name"],
        [_layer(entry, layers[entry["name"]], custom) for entry in config["layers"]],
        [_tensor(entry) for entry in listed_entries(config["input_layers"])],
        [(name, number - (name in made), index) for name, number, index in outputs],
        output_keys(config["output_layers"]),
    )


def _entry(layer: Any) -> dict[str, Any]:
    return {
        "name": layer.name,
        "class_name": type(layer).__name__,
        "config": {} if hasattr(layer, "layers") else layer.get_config(),
        "inbound_nodes": [],
    }


def _tensor(entry: Any) -> Tensor:
    return str(entry[0]), int(entry[1]), int(entry[2])


def _layer(entry: dict[str, Any], layer: Any, custom: CustomObjects) -> LayerView:
    name, kind = entry["name"], entry["class_name"]
    if ".ops." in type(layer).__module__:
        return _function(entry)
    calls = [_call(name, layer, call) for call in entry["inbound_nodes"]]
    how = treatment(layer, custom)
    if callable(how):
        inner = tf_keras_models.view_of(model_for(layer, how), custom)
        return LayerView(name, calls, lambda name: (None, []), inner)
    if kind == "Embedding" and entry["config"].get("mask_zero"):
        raise makes_a_mask(name, kind)
    if kind not in _MODELS and gives_several(layer):
        raise several_outputs(name)
    if kind in _MODELS:
        return LayerView(name, calls, lambda name: (None, []), view_of(layer, custom))
    if kind == "InputLayer":
        config = entry["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return input_view(name, shape, config["dtype"])
    if is_of_convnext(layer):
        return LayerView(name, calls, lambda name: stock_layer(layer, name))
    weights = [] if kind in _STATELESS else layer.get_weights()
    return LayerView(
        name, calls, lambda name: (_translated(entry, layer, name), weights), given=layer
    )


def _call(name: str, layer: Any, call: dict[str, Any]) -> Call:
    """One entry of `inbound_nodes`: positional arguments behind the first go by their names."""
    args, kwargs = list(call["args"]), dict(call["kwargs"])
    inputs: list[Tensor] = []
    as_list = isinstance(args[0], (list, tuple)) if args else False
    inputs += [_tensor_of(name, argument) for argument in (args[0] if as_list else args[:1])]
    parameters = inspect.signature(layer.call).parameters
    names = [key for key in parameters if key != "self"]
    kwargs = {**dict(zip(names[1:], args[1:], strict=False)), **kwargs}
    arguments: dict[str, Any] = {}
    for key, value in kwargs.items():
        if value is None or key == "training":
            continue
        if isinstance(value, (list, tuple)) and any(isinstance(each, dict) for each in value):
            raise UnsupportedError(
                f"Layer {name!r} is called with a list of tensors as {key!r}. Build that part of "
                "the model without."
            )
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            arguments[key] = Slot(len(inputs))
            inputs.append(_tensor_of(name, value))
        else:
            arguments[key] = value
    training = kwargs.get("training")
    if "training" in parameters and parameters["training"].default is training:
        training = None  # Keras 3 notes the default as if it had been said
    return Call(inputs, as_list, arguments, training)


def _tensor_of(name: str, value: Any) -> Tensor:
    if isinstance(value, dict) and "class_name" not in value:
        raise called_with_dict(name)
    if not isinstance(value, dict) or value.get("class_name") != "__keras_tensor__":
        raise UnsupportedError(
            f"Layer {name!r} is called with {value!r}, which is not a tensor of the model. Pass "
            "tensors alone, constants as weights of a layer."
        )
    return _tensor(value["config"]["keras_history"])


def _function(entry: dict[str, Any]) -> LayerView:
    """An operation of keras.ops on tensors, or a Python operator."""
    name = entry["name"]
    function = re.sub(r"(?<!^)(?=[A-Z])", "_", entry["class_name"]).lower()
    calls: list[Call] = []
    operands: list[Any] = []
    for call in entry["inbound_nodes"]:
        inputs: list[Tensor] = []
        operands = []
        given = [*call["args"], *call["kwargs"].values()]
        if given and isinstance(given[0], (list, tuple)):
            given = [*given[0], *given[1:]]
        for argument in given:
            if isinstance(argument, dict) and argument.get("class_name") == "__keras_tensor__":
                inputs.append(_tensor_of(name, argument))
                operands.append(None)
            else:
                operands.append(argument)
        calls.append(Call(inputs, len(inputs) > 1))
    made = layer_of(name, function, operands, entry["config"])
    return LayerView(name, calls, lambda name: (copied(made, name), []))


def _translated(entry: dict[str, Any], layer: Any, name: str) -> Any:
    """The tf_keras layer of a Keras 3 one, without weights."""
    kind = entry["class_name"]
    if kind == "Lambda":
        raise lambda_layer(name)
    target = getattr(keras.layers, kind, None)
    if target is None or not type(layer).__module__.startswith("keras."):
        raise UnsupportedError(
            f"Layer {name!r} is a {kind}, which tf_keras does not have or cannot copy. Say what it "
            f"computes by "
            f"quantize(custom_objects={{'{kind}': function}}), the function returning a tf_keras "
            "model for the layer, or build that part from stock layers."
        )
    config = {
        key: _plain(value)
        for key, value in entry["config"].items()
        if key not in _INTERNAL_KEYS and not _is_new_and_off(layer, target, key, value)
    }
    config["name"] = name
    for key in ("activation", "recurrent_activation"):
        if isinstance(config.get(key), dict):
            raise own_activation(name)
        if config.get(key) in FROM_KERAS3:
            config[key] = FROM_KERAS3[config[key]]
    if kind == "LeakyReLU":
        config["alpha"] = config.pop("negative_slope", 0.0)
    if kind == "Bidirectional":
        for key in ("layer", "backward_layer"):
            if isinstance(config.get(key), dict):
                inner = _translated(config[key], layer.forward_layer, config[key]["config"]["name"])
                config[key] = keras.layers.serialize(inner)
    if kind == "MultiHeadAttention":  # which then builds itself by what it is called on
        config |= dict.fromkeys(("query_shape", "key_shape", "value_shape"))
    try:
        return target.from_config(config)
    except Exception as error:  # whatever an older constructor makes of a newer setting
        raise UnsupportedError(
            f"Layer {name!r} ({kind}) cannot be copied into tf_keras: "
            f"{(str(error).strip() or type(error).__name__).splitlines()[0][:200]} Build that part "
            "of the layers that docs/models.md lists, or say what it computes by "
            f"quantize(custom_objects={{'{kind}': function}})."
        ) from error


def _is_new_and_off(layer: Any, target: Any, key: str, value: Any) -> bool:
    """Whether a setting that tf_keras's layer does not know is off, or as Keras 3 has it."""
    if key in _OF_EVERY_LAYER or key in inspect.signature(target.__init__).parameters:
        return False
    if key == "data_format" and value == "channels_last":
        return True
    default = inspect.signature(type(layer).__init__).parameters.get(key)
    return not value or (default is not None and bool(default.default == value))


def _plain(value: Any) -> Any:
    """Config values as tf_keras reads them: dtype policies by name, initializers by their keys."""
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    if value["class_name"] == "DTypePolicy":
        return value["config"]["name"]
    target = getattr(keras.initializers, value["class_name"], None)
    if target is None:
        return value
    known = target().get_config() if value["class_name"] != "Constant" else {"value": 0}
    config = {key: item for key, item in value["config"].items() if key in known}
    return {"class_name": value["class_name"], "config": config}
