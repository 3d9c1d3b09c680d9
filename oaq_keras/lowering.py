# SPDX-License-Identifier: Apache-2.0
"""Rewrites a graph's layers as those that TFLite computes in int8, by rules for each type.

What holds the weights keeps the layer's name, so that options by name reach it; what is made beside
it has that name and an ending.
"""

from __future__ import annotations

from typing import Any

from oaq_keras._keras import keras
from oaq_keras.custom_objects import marked
from oaq_keras.errors import UnsupportedError
from oaq_keras.graph import Graph, Node
from oaq_keras.images import AsImages, FromImages
from oaq_keras.lowering_rules import RULES, Shape, Sketch
from oaq_keras.reading import copied

layers = keras.layers

_BY_VALUE = (layers.BatchNormalization, layers.ReLU, layers.LeakyReLU)
"""What computes each value, or each channel, by itself, whatever the dimensions."""

_OF_SEVERAL = (layers.Add, layers.Subtract, layers.Multiply, layers.Maximum, layers.Minimum)
"""The same on several inputs."""


def lower(graph: Graph, annotated: set[str]) -> set[str]:
    """Rewrites all layers that have a rule, and what the rules make of them.

    Args:
      graph: changed in place.
      annotated: names of the layers to quantize; others stay as they are.

    Returns:
      `annotated`, without the layers that are gone and with those that were made.
    """
    found = set(annotated)
    shapes: dict[str, Shape] = {}
    waiting = list(graph)
    while waiting:
        node = waiting.pop(0)
        inputs = [shapes.get(name) for name in node.inputs]
        shapes[node.name] = _output_shape(node, inputs)
        rule = RULES.get(type(node.layer))
        if node.name not in found:
            continue
        if node.arguments and marked(node.layer) is None:
            raise UnsupportedError(
                f"Layer {node.name!r} is called with {', '.join(sorted(node.arguments))}, which "
                "int8 TFLite's counterpart does not take. Call it with its input alone."
            )
        if rule is None:
            continue
        sketch = Sketch(node, inputs, shapes[node.name], {other.name for other in graph})
        output = rule(sketch)
        if output is None:
            continue
        graph.substitute(node.name, sketch.nodes, output)
        found |= {made.name for made in sketch.nodes}
        waiting = sketch.nodes + waiting
    _join_rows(graph)
    return found & {node.name for node in graph}


def shapes_of(graph: Graph) -> dict[str, Shape]:
    """The shapes of all nodes' outputs."""
    found: dict[str, Shape] = {}
    for node in graph:
        found[node.name] = _output_shape(node, [found.get(name) for name in node.inputs])
    return found


def _output_shape(node: Node, inputs: list[Shape]) -> Shape:
    """The shape of a node's output; None where it is not known."""
    if isinstance(node.layer, layers.InputLayer):
        return tuple(node.layer.get_config()["batch_input_shape"])
    if not inputs or None in inputs:
        return None
    listed = node.as_list or (len(inputs) > 1 and not node.arguments)
    try:
        given: Any = inputs if listed else inputs[0]
        return tuple(copied(node.layer, node.name).compute_output_shape(given))
    except Exception:  # what layers raise that want to be called, not asked
        return inputs[0]


def _join_rows(graph: Graph) -> None:
    """Moves what computes value by value in front of FromImages, which AsImages then undoes."""
    changed = True
    while changed:
        changed = False
        for node in graph:
            if not isinstance(node.layer, FromImages) or node.name not in graph:
                continue
            readers = graph.consumers(node.name)
            if len(readers) != 1 or node.name in graph.outputs:
                continue
            (reader,) = readers
            if isinstance(reader.layer, AsImages):
                graph.remove(reader.name)
                graph.remove(node.name)
                changed = True
            elif type(reader.layer) in _BY_VALUE and len(reader.inputs) == 1:
                graph.swap(node.name, reader.name)
                changed = True
            elif type(reader.layer) in _OF_SEVERAL:
                changed |= _join_several(graph, reader)


def _join_several(graph: Graph, reader: Node) -> bool:
    """Moves what computes value by value on several inputs in front of the FromImages of each."""
    sources = [graph[name] for name in dict.fromkeys(reader.inputs)]
    if not all(
        isinstance(source.layer, FromImages)
        and source.layer.rank == sources[0].layer.rank
        and graph.consumers(source.name) == [reader]
        and source.name not in graph.outputs
        for source in sources
    ):
        return False
    for source in sources:
        graph.remove(source.name)
    graph.insert_after(reader.name, sources[0].layer)
    return True
