# SPDX-License-Identifier: Apache-2.0
"""Brings a graph into the shape that TFLite runs in int8, before formats are decided."""

from typing import Any

import numpy as np

from oaq_keras._keras import keras
from oaq_keras.channel_affine import ChannelAffine
from oaq_keras.errors import UnsupportedError
from oaq_keras.graph import Graph, Node
from oaq_keras.images import AsImages, FromImages
from oaq_keras.lowering import lower, shapes_of
from oaq_keras.lowering_rules import ACTIVATION_SUFFIX
from oaq_keras.normalization import FreezableBatchNormalization
from oaq_keras.registry import check_settings, is_relu, rule_of
from oaq_keras.tflite_layers import TFLITE_LAYERS

__all__ = ["ACTIVATION_SUFFIX", "canonicalize"]

layers = keras.layers

_REPLACEMENTS = {**TFLITE_LAYERS, layers.BatchNormalization: FreezableBatchNormalization}
_IMAGES = 4
_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU)


def canonicalize(graph: Graph, annotated: set[str]) -> set[str]:
    """Rewrites what the converter would not fuse, or would leave in float.

    Args:
      graph: changed in place.
      annotated: names of the layers to quantize.

    Returns:
      `annotated`, without the layers that are gone and with those that were made.
    """
    for node in graph:
        if node.name in annotated:
            check_settings(node.layer)
    found = lower(graph, annotated)
    found -= _merge_equal(graph, found)
    for node in graph:
        if isinstance(node.layer, layers.BatchNormalization) and node.name in found:
            found -= _fold_into_transposed(graph, node, found)
    for node in graph:
        if is_relu(node.layer) and node.name in found:
            _put_before_pool(graph, node, found)
    found |= _carry(graph, found)
    found |= _separate_clips(graph, found)
    for node in graph:
        replacement = _REPLACEMENTS.get(type(node.layer))
        if replacement is not None and node.name in found:
            config = node.layer.get_config()
            if replacement is FreezableBatchNormalization:
                config["inference"] = node.inference
            layer = replacement.from_config(config)
            graph.replace_layer(node.name, layer, node.weights)
    return found


def _is_linear_for(graph: Graph, source: Node, annotated: set[str]) -> bool:
    """Whether a quantized layer with weights feeds only its one reader, and untouched."""
    return (
        source.name in annotated
        and bool(rule_of(source.layer).kernel)
        and source.layer.get_config().get("activation", "linear") == "linear"
        and len(graph.consumers(source.name)) == 1
        and source.name not in graph.outputs
    )


def _is_foldable(graph: Graph, normalization: Node, annotated: set[str]) -> bool:
    """Whether the converter folds a BatchNormalization into the layer before it."""
    source = graph[normalization.inputs[0]]
    transposed = isinstance(source.layer, layers.Conv2DTranspose)
    return not transposed and _is_linear_for(graph, source, annotated)


def _carry(graph: Graph, annotated: set[str]) -> set[str]:
    """Puts a convolution with weights of one where a layer has none to be folded into.

    Returns:
      The names of the layers that were made.
    """
    made: set[str] = set()
    wanting = [
        (node, node.inputs[0])
        for node in graph
        if node.name in annotated and _wants_carrier(graph, node, annotated)
    ]
    shapes = shapes_of(graph) if wanting else {}
    for node, given in wanting:
        (source,) = node.inputs
        before, behind = _carrier(graph, node.name, shapes.get(given))
        nodes = _chained(source, before)
        node.inputs = [nodes[-1].name]
        nodes = [*nodes, node, *_chained(node.name, behind)]
        graph.substitute(node.name, nodes, nodes[-1].name)
        made |= {new.name for new in nodes} - {node.name}
    return made


def _carrier(graph: Graph, name: str, shape: Any) -> tuple[list[Any], list[Any]]:
    """A convolution with weights of one and what makes images before it, and what undoes that.

    Raises:
      UnsupportedError: more than three dimensions beside the batch.
    """
    rank = _IMAGES if shape is None else len(shape)
    if rank > _IMAGES:
        raise UnsupportedError(
            f"Layer {name!r} reads a tensor of shape {tuple(shape)}; it can be quantized on "
            "vectors, sequences and images. Reshape its input to [batch, height, width, channels]."
        )
    carrier = ChannelAffine(name=graph.free_name(f"{name}_carrier"))
    if rank == _IMAGES:
        return [carrier], []
    before = AsImages(name=graph.free_name(f"{name}_as_images"))
    return [before, carrier], [FromImages(rank, name=graph.free_name(f"{name}_from_images"))]


def _chained(source: str, made: list[Any]) -> list[Node]:
    nodes = []
    for layer in made:
        nodes.append(Node(layer, [source]))
        source = layer.name
    return nodes


def _separate_clips(graph: Graph, annotated: set[str]) -> set[str]:
    """Puts carriers where ReLUs whose clip is that of their codes would share a format.

    Returns:
      The names of the layers that were made.
    """
    made: set[str] = set()
    uniting = [
        node for node in graph if node.name in annotated and rule_of(node.layer).output == "unite"
    ]
    found = {node.name: _clipping_sources(graph, node, annotated) for node in uniting}
    shapes = shapes_of(graph) if any(found.values()) else {}
    for node in uniting:
        nodes: list[Node] = []
        for source in found[node.name]:
            before, behind = _carrier(graph, source, shapes.get(source))
            chain = _chained(source, [*before, *behind])
            node.inputs = [chain[-1].name if each == source else each for each in node.inputs]
            nodes += chain
        if nodes:
            graph.substitute(node.name, [*nodes, node], node.name)
        made |= {new.name for new in nodes}
    return made


def _clipping_sources(graph: Graph, node: Node, annotated: set[str]) -> list[str]:
    sources = dict.fromkeys(node.inputs)
    return [name for name in sources if _clips_by_codes(graph, name, annotated)]


def _clips_by_codes(graph: Graph, name: str, annotated: set[str]) -> bool:
    """Whether codes come, unchanged, from a ReLU with another largest value than RELU6's."""
    while name in annotated and rule_of(graph[name].layer).output in ("same", "average"):
        name = graph[name].inputs[0]
    layer = graph[name].layer
    return name in annotated and is_relu(layer) and layer.max_value not in (None, 6.0)


def _merge_equal(graph: Graph, annotated: set[str]) -> set[str]:
    """Takes out activations of what has the same activation already.

    The converter would merge them, and then not know which of their two formats is meant.

    Returns:
      The names of the layers that are gone.
    """
    seen: dict[tuple[str, str], str] = {}
    gone: set[str] = set()
    for node in graph:
        if type(node.layer) not in _ACTIVATIONS or node.name not in annotated:
            continue
        key = node.inputs[0], str({**node.layer.get_config(), "name": type(node.layer).__name__})
        first = seen.setdefault(key, node.name)
        if first != node.name:
            graph.substitute(node.name, [], first)
            gone.add(node.name)
    return gone


def _wants_carrier(graph: Graph, node: Node, annotated: set[str]) -> bool:
    """BatchNormalization that cannot be folded, and ReLU behind an average, which TFLite fuses."""
    if isinstance(node.layer, layers.BatchNormalization):
        return not _is_foldable(graph, node, annotated)
    if not is_relu(node.layer):
        return False
    (source,) = node.inputs
    return source in annotated and rule_of(graph[source].layer).output == "average"


def _fold_into_transposed(graph: Graph, node: Node, annotated: set[str]) -> set[str]:
    """Folds a BatchNormalization into the transposed convolution before it, which has one scale.

    Returns:
      The names of the layers that are gone.
    """
    before = graph[node.inputs[0]]
    if (
        not isinstance(before.layer, layers.Conv2DTranspose)
        or not _is_linear_for(graph, before, annotated)
        or before.shares is not None
        or node.shares is not None
        or any(other.shares == node.name for other in graph)
        or any(other.shares == before.name for other in graph)
    ):
        return set()
    given = node.layer.get_config()
    *affine, mean, variance = node.weights
    gamma = affine.pop(0) if given["scale"] else np.ones_like(mean)
    beta = affine.pop(0) if given["center"] else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + given["epsilon"])
    kernel, *biases = before.weights
    bias = biases[0] if biases else np.zeros_like(mean)
    graph.replace_layer(
        before.name,
        layers.Conv2DTranspose.from_config({**before.layer.get_config(), "use_bias": True}),
        [kernel * factor[:, None], (bias - mean) * factor + beta],
    )
    graph.remove(node.name)
    return {node.name}


def _put_before_pool(graph: Graph, relu: Node, annotated: set[str]) -> None:
    """Moves a ReLU in front of maximum pooling: the same values, and what TFLite fuses."""
    pool = graph[relu.inputs[0]]
    if (
        type(pool.layer) is layers.MaxPooling2D
        and pool.name in annotated
        and len(graph.consumers(pool.name)) == 1
        and pool.name not in graph.outputs
    ):
        graph.swap(pool.name, relu.name)
