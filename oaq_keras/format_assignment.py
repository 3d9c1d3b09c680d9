# SPDX-License-Identifier: Apache-2.0
"""Decides which tensors of a graph are quantized, which share a format, and which are closed."""

from dataclasses import dataclass, field

from oaq_keras._keras import keras
from oaq_keras.graph import Graph, Node
from oaq_keras.registry import is_relu, rule_of

layers = keras.layers


@dataclass
class Assignment:
    """Formats of a graph's tensors.

    Attributes:
      quantized: nodes that get a QuantizeConfig.
      inputs: nodes in float, the model's inputs among them, behind which is quantized.
      formats: node -> format by which its output is quantized; nodes without an entry keep their
        input's codes, or are fused into the next node.
      closed: closed formats -> largest clip (6.0 for ReLU6, else None).
      fixed: formats that TFLite prescribes -> their least and largest real value.
      kernels: nodes with weights -> format of their input, None where it is not quantized.
      tensors: all nodes -> format of their output, None where it has none.
      first: nodes with weights that read the model's input.
    """

    quantized: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    formats: dict[str, str] = field(default_factory=dict)
    closed: dict[str, float | None] = field(default_factory=dict)
    fixed: dict[str, tuple[float, float]] = field(default_factory=dict)
    kernels: dict[str, str | None] = field(default_factory=dict)
    tensors: dict[str, str | None] = field(default_factory=dict)
    first: set[str] = field(default_factory=set)


def assign_formats(graph: Graph, annotated: set[str]) -> Assignment:
    """Assigns formats to the tensors of a canonical graph.

    Args:
      graph: the graph.
      annotated: names of the layers to quantize; others stay float.

    Raises:
      UnsupportedError: a layer without a rule.
    """
    classes = _Classes()
    result = Assignment()
    of_tensor: dict[str, str | None] = {}
    relus: dict[str, float | None] = {}
    opened: set[str] = set()
    fixed: dict[str, tuple[float, float]] = {}
    for node in graph:
        if isinstance(node.layer, layers.InputLayer) or node.name not in annotated:
            read = any(consumer.name in annotated for consumer in graph.consumers(node.name))
            of_tensor[node.name] = classes.make(node.name) if read else None
            if read:
                result.inputs.append(node.name)
                opened.add(node.name)
            continue
        rule = rule_of(node.layer)
        result.quantized.append(node.name)
        sources = [of_tensor[name] for name in node.inputs]
        if rule.kernel:
            result.kernels[node.name] = sources[0]
            if _reads_input(graph, node, annotated):
                result.first.add(node.name)
        if rule.output == "same" or rule.output == "average":
            of_tensor[node.name] = sources[0]
            if sources[0] is not None and _forgets_range(node):
                opened.add(sources[0])
            said_again = rule.output == "average" or _loses_format(graph, node, annotated)
            if said_again and sources[0] is not None:
                result.formats[node.name] = sources[0]
        elif rule.output == "unite" and all(source is not None for source in sources):
            of_tensor[node.name] = classes.unite([source for source in sources if source])
            if _loses_format(graph, node, annotated):
                result.formats[node.name] = classes.find(sources[0] or "")
        elif rule.output == "fixed" and rule.limits and graph.consumers(node.name):
            of_tensor[node.name] = result.formats[node.name] = classes.make(node.name)
            opened.add(node.name)
            fixed[node.name] = rule.limits
        elif rule.output == "fixed" or _is_fused(graph, node, annotated):
            of_tensor[node.name] = None
        else:
            of_tensor[node.name] = result.formats[node.name] = classes.make(node.name)
            if _ends_in_relu(node):
                relus[node.name] = node.layer.get_config().get("max_value")
            else:
                opened.add(node.name)
    result.tensors = of_tensor
    resolved = _resolve(result, classes, relus, opened)
    members = [classes.find(name) for name in classes.names]
    # A format that others share with what TFLite prescribes is theirs, and the converter
    # requantizes.
    resolved.fixed = {
        classes.find(name): limits
        for name, limits in fixed.items()
        if members.count(classes.find(name)) == 1
    }
    return resolved


class _Classes:
    """Disjoint sets of tensors that share a format (union by first name)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """All names that were made."""
        return list(self._parent)

    def make(self, name: str) -> str:
        self._parent[name] = name
        return name

    def find(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def unite(self, names: list[str]) -> str:
        root = self.find(names[0])
        for name in names[1:]:
            self._parent[self.find(name)] = root
        return root


def _resolve(
    result: Assignment,
    classes: _Classes,
    relus: dict[str, float | None],
    opened: set[str],
) -> Assignment:
    """Replaces names by those of their sets; a set is closed where all its tensors are."""
    result.formats = {node: classes.find(name) for node, name in result.formats.items()}
    for name in result.inputs:
        result.formats[name] = classes.find(name)
    for found in (result.kernels, result.tensors):
        for node, tensor in found.items():
            found[node] = None if tensor is None else classes.find(tensor)
    open_sets = {classes.find(name) for name in opened}
    limits_of: dict[str, list[float | None]] = {}
    for name, limit in relus.items():
        limits_of.setdefault(classes.find(name), []).append(limit)
    for root, limits in limits_of.items():
        if root not in open_sets:
            known = [limit for limit in limits if limit is not None]
            result.closed[root] = max(known) if len(known) == len(limits) else None
    return result


def _ends_in_relu(node: Node) -> bool:
    return is_relu(node.layer) or node.layer.get_config().get("activation") == "relu"


def _is_fused(graph: Graph, node: Node, annotated: set[str]) -> bool:
    """Whether the converter merges a node into the one that reads it."""
    consumers = graph.consumers(node.name)
    if len(consumers) != 1 or node.name in graph.outputs:
        return False
    follower = consumers[0]
    if follower.name not in annotated or _ends_in_relu(node):
        return False
    if isinstance(follower.layer, layers.BatchNormalization):
        return bool(rule_of(node.layer).kernel)
    fusable = bool(rule_of(node.layer).kernel) or isinstance(node.layer, _FUSING)
    return fusable and is_relu(follower.layer)


def _loses_format(graph: Graph, node: Node, annotated: set[str]) -> bool:
    """Whether the converter leaves readers of a tensor that has others' codes in float.

    That happens where an average is among them, unless the tensor is quantized by itself.
    """
    readers = [reader for reader in graph.consumers(node.name) if reader.name in annotated]
    return len(readers) > 1 and any(rule_of(reader.layer).output == "average" for reader in readers)


def _forgets_range(node: Node) -> bool:
    """Whether nobody proves from a file which of its input's codes a layer can write."""
    if isinstance(node.layer, layers.UpSampling2D):
        return bool(node.layer.get_config()["interpolation"] != "nearest")
    return isinstance(node.layer, layers.GlobalMaxPooling2D)


_FUSING = (layers.BatchNormalization, layers.Add, layers.Subtract, layers.Multiply)
"""What TFLite fuses a ReLU into, beside layers with weights."""


def _reads_input(graph: Graph, node: Node, annotated: set[str]) -> bool:
    """Whether only layers that keep codes lie between the model's input and a node."""
    name = node.inputs[0]
    while name in annotated and rule_of(graph[name].layer).output in ("same", "average"):
        name = graph[name].inputs[0]
    return isinstance(graph[name].layer, layers.InputLayer)
