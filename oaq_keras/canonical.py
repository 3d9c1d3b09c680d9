# SPDX-License-Identifier: Apache-2.0
"""Rewrites of a Keras graph into the layers that TFLite fuses, before formats are decided."""

from typing import Any

import numpy as np

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError
from oaq_keras.graph import Graph, Node
from oaq_keras.normalization import FreezableBatchNormalization
from oaq_keras.registry import is_relu
from oaq_keras.tflite_layers import TFLITE_LAYERS

layers = keras.layers
ACTIVATION_SUFFIX = "_activation"
"""Behind a layer's name: the name of the layer that its activation became."""

_REPLACEMENTS = {**TFLITE_LAYERS, layers.BatchNormalization: FreezableBatchNormalization}
_WITH_ACTIVATION = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def canonicalize(graph: Graph, annotated: set[str]) -> set[str]:
    """Rewrites what the converter would not fuse, or would leave in float.

    Activations other than relu become layers of their own, BatchNormalization behind Dense is
    folded into its weights, and sums of three and more become sums of two.

    Args:
      graph: changed in place.
      annotated: names of the layers to quantize.

    Returns:
      `annotated`, without the layers that are gone and with those that were made.
    """
    found = set(annotated)
    for node in graph:
        if isinstance(node.layer, layers.BatchNormalization) and node.name in annotated:
            found -= _fold_into_dense(graph, node)
        if type(node.layer) is layers.Add and node.name in annotated:
            found |= _split_sum(graph, node)
    for node in graph:
        if type(node.layer) in _WITH_ACTIVATION:
            split = _split_activation(graph, node)
            if split and node.name in annotated:
                found.add(split)
    for node in graph:
        if type(node.layer) is layers.Activation:
            _as_relu_layer(graph, node)
    for node in graph:
        if is_relu(node.layer) and node.name in found:
            _put_before_pool(graph, node, found)
        replacement = _REPLACEMENTS.get(type(node.layer))
        if replacement is not None and node.name in found:
            layer = replacement.from_config(node.layer.get_config())
            graph.replace_layer(node.name, layer, node.weights)
    return found


def _split_activation(graph: Graph, node: Node) -> str | None:
    """Gives an activation that TFLite does not fuse, or relu6, a layer of its own."""
    config = node.layer.get_config()
    activation = config["activation"]
    if activation in ("linear", "relu"):
        return None
    name = graph.free_name(node.name + ACTIVATION_SUFFIX)
    graph.insert_after(node.name, layers.Activation(activation, name=name))
    config["activation"] = "linear"
    graph.replace_layer(node.name, type(node.layer).from_config(config), node.weights)
    return name


def _as_relu_layer(graph: Graph, node: Node) -> None:
    """Activation("linear") passes through Dropout(0); relu and relu6 become ReLU layers."""
    replacement: Any
    name, activation = node.name, node.layer.get_config()["activation"]
    if activation == "relu":
        replacement = layers.ReLU(name=name)
    elif activation == "relu6":
        replacement = layers.ReLU(6.0, name=name)
    elif activation == "linear":
        replacement = layers.Dropout(0.0, name=name)
    else:
        return
    graph.replace_layer(name, replacement, [])


def _fold_into_dense(graph: Graph, node: Node) -> set[str]:
    """Folds a BatchNormalization into the Dense layer before it, whose kernel has one scale only.

    Returns:
      The names of the layers that are gone.
    """
    dense = graph[node.inputs[0]]
    config = dense.layer.get_config()
    if (
        type(dense.layer) is not layers.Dense
        or config["activation"] != "linear"
        or len(graph.consumers(dense.name)) != 1
        or dense.name in graph.outputs
    ):
        return set()
    given = node.layer.get_config()
    *affine, mean, variance = node.weights
    gamma = affine.pop(0) if given["scale"] else np.ones_like(mean)
    beta = affine.pop(0) if given["center"] else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + given["epsilon"])
    kernel, *biases = dense.weights
    bias = biases[0] if biases else np.zeros_like(mean)
    if mean.shape != kernel.shape[-1:]:
        return set()
    graph.replace_layer(
        dense.name,
        layers.Dense.from_config({**config, "use_bias": True}),
        [kernel * factor, (bias - mean) * factor + beta],
    )
    graph.remove(node.name)
    return {node.name}


def _split_sum(graph: Graph, node: Node) -> set[str]:
    """Makes a sum of more than two tensors a chain of sums: TFLite adds two at a time.

    Returns:
      The names of the layers that were made.
    """
    made: set[str] = set()
    while len(node.inputs) > 2:
        name = graph.free_name(f"{node.name}_partial")
        partial = Node(layers.Add(name=name), node.inputs[:2], as_list=True)
        graph.insert_before(node.name, partial)
        node.inputs = [name, *node.inputs[2:]]
        made.add(name)
    return made


def _put_before_pool(graph: Graph, relu: Node, annotated: set[str]) -> None:
    """Moves a ReLU in front of maximum pooling: the same values, and what TFLite fuses.

    Raises:
      UnsupportedError: it follows average pooling, which it may not pass.
    """
    pool = graph[relu.inputs[0]]
    if type(pool.layer) is layers.AveragePooling2D and pool.name in annotated:
        raise UnsupportedError(
            f"ReLU {relu.name!r} follows AveragePooling2D {pool.name!r}, which TFLite cannot "
            "compute in int8. Put the ReLU in front of the pooling."
        )
    if (
        type(pool.layer) is layers.MaxPooling2D
        and len(graph.consumers(pool.name)) == 1
        and pool.name not in graph.outputs
    ):
        graph.swap(pool.name, relu.name)
