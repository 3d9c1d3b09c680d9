# SPDX-License-Identifier: Apache-2.0
"""Rewrites of a Keras graph into the layers that TFLite fuses, before formats are decided."""

from typing import Any

from oaq_keras._keras import keras
from oaq_keras.graph import Graph, Node

layers = keras.layers
ACTIVATION_SUFFIX = "_activation"
"""Behind a layer's name: the name of the layer that its activation became."""

_WITH_ACTIVATION = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def canonicalize(graph: Graph, annotated: set[str]) -> set[str]:
    """Makes every activation but a fused relu a layer of its own.

    Args:
      graph: changed in place.
      annotated: names of the layers to quantize.

    Returns:
      `annotated`, with the layers that were split off.
    """
    found = set(annotated)
    for node in graph:
        if type(node.layer) in _WITH_ACTIVATION:
            split = _split_activation(graph, node)
            if split and node.name in annotated:
                found.add(split)
    for node in graph:
        if type(node.layer) is layers.Activation:
            _as_relu_layer(graph, node)
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
