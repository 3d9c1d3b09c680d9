# SPDX-License-Identifier: Apache-2.0
"""Keras 3 models, read from their public config as graphs of tf_keras layers."""

from typing import Any

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError
from oaq_keras.graph import Graph, Node, check_call_count, input_name, listed_entries
from oaq_keras.registry import NAMES, unsupported

_INTERNAL_KEYS = ("quantization_config", "build_config")


def is_keras3_model(model: Any) -> bool:
    """Whether `model` is a Keras 3 model, without importing Keras 3."""
    return any(
        kind.__module__.split(".")[0] == "keras" and kind.__name__ == "Model"
        for kind in type(model).__mro__
    )


def read_keras3_model(model: Any) -> Graph:
    """Reads a built Keras 3 Sequential or Functional model.

    Raises:
      UnsupportedError: a subclassed or nested model, a shared layer, an op without a layer, or a
        layer that tf_keras does not have; the message names it.
    """
    kind = type(model).__name__
    if kind == "Sequential":
        return _read_sequential(model)
    if kind != "Functional":
        raise UnsupportedError(
            f"Keras 3 model {model.name!r} is a subclassed model ({kind}), whose layers cannot be "
            "seen from outside. Build it with the functional API: keras.Model(inputs, outputs)."
        )
    config = model.get_config()
    layers = {layer.name: layer for layer in model.layers}
    nodes = []
    for entry in config["layers"]:
        name, calls = entry["name"], entry["inbound_nodes"]
        check_call_count(name, len(calls))
        if name not in layers:
            raise UnsupportedError(
                f"{name!r} ({entry['class_name']}) is a function of tensors, not a layer. Use a "
                "layer instead, such as keras.layers.Add()([a, b]) for a + b."
            )
        inputs, as_list = _read_call(name, calls[0]) if calls else ([], False)
        nodes.append(_translate(entry, layers[name], inputs, as_list))
    return Graph(
        config["name"],
        nodes,
        [entry[0] for entry in listed_entries(config["input_layers"])],
        [entry[0] for entry in listed_entries(config["output_layers"])],
    )


def _read_sequential(model: Any) -> Graph:
    name = input_name(model)
    nodes = [Node(keras.layers.InputLayer(batch_input_shape=model.input_shape, name=name), [])]
    for layer in model.layers:
        entry = {
            "name": layer.name,
            "class_name": type(layer).__name__,
            "config": layer.get_config(),
        }
        nodes.append(_translate(entry, layer, [nodes[-1].name], False))
    return Graph(model.name, nodes, [name], [nodes[-1].name])


def _read_call(name: str, call: dict[str, Any]) -> tuple[list[str], bool]:
    inputs: list[str] = []
    as_list = False
    for argument in call["args"]:
        as_list = as_list or isinstance(argument, (list, tuple))
        for tensor in argument if isinstance(argument, (list, tuple)) else [argument]:
            if not isinstance(tensor, dict) or tensor.get("class_name") != "__keras_tensor__":
                raise UnsupportedError(
                    f"Layer {name!r} is called with {tensor!r}, which is not a tensor of the "
                    "model. Pass tensors alone, constants as weights of a layer."
                )
            source, _, tensor_index = tensor["config"]["keras_history"]
            if tensor_index:
                raise UnsupportedError(
                    f"Layer {name!r} takes output {tensor_index} of {source!r}; layers with "
                    "several outputs cannot be quantized. Split them into layers with one output."
                )
            inputs.append(source)
    return inputs, as_list


def _translate(entry: dict[str, Any], layer: Any, inputs: list[str], as_list: bool) -> Node:
    name, kind = entry["name"], entry["class_name"]
    if kind == "InputLayer":
        config = entry["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return Node(
            keras.layers.InputLayer(
                batch_input_shape=tuple(shape), dtype=config["dtype"], name=name
            ),
            [],
        )
    if kind in ("Functional", "Sequential"):
        raise UnsupportedError(
            f"Layer {name!r} is a model inside the model. Call its layers in the outer model "
            "instead."
        )
    if kind not in (*NAMES, "Activation") or not type(layer).__module__.startswith("keras."):
        raise unsupported(name, kind)
    config = {
        key: _plain(value) for key, value in entry["config"].items() if key not in _INTERNAL_KEYS
    }
    try:
        copy = getattr(keras.layers, kind).from_config(config)
    except Exception as error:  # whatever an older constructor makes of a newer setting
        raise UnsupportedError(
            f"Layer {name!r} ({kind}) has a setting that tf_keras does not know: "
            f"{str(error).splitlines()[0][:200]} Build the layer with its activation as a layer of "
            "its own and without custom objects."
        ) from error
    weights = [] if kind in ("Dropout", "SpatialDropout2D") else layer.get_weights()
    return Node(copy, inputs, weights, as_list)


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
