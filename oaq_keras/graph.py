# SPDX-License-Identifier: Apache-2.0
"""A Keras model as a list of calls of layers, and built anew as a functional model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError
from oaq_keras.shared_variables import take, tie, variables_of


@dataclass(frozen=True)
class Slot:
    """Stands for a tensor among a call's keyword arguments: the node's input of that number."""

    index: int


@dataclass
class Node:
    """One call of a layer.

    Attributes:
      layer: an unbuilt tf_keras layer of this node's own.
      inputs: names of the nodes whose outputs it takes.
      weights: values for the layer, in the order of `layer.get_weights()`; with `shares`, those of
        that node.
      as_list: the layer takes a list of tensors, even of one.
      arguments: further keyword arguments of the call; tensors among them are Slots.
      inference: the call never trains: statistics are used and stay.
      shares: the node whose weights it trains with, where the given model calls a layer again.
    """

    layer: Any
    inputs: list[str]
    weights: list[Any] = field(default_factory=list)
    as_list: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    shares: str | None = None
    inference: bool = False

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)


class Graph:
    """Nodes in the order of execution, and the names of the model's inputs and outputs."""

    def __init__(
        self,
        name: str,
        nodes: list[Node],
        inputs: list[str],
        outputs: list[str],
        output_names: list[str] | None = None,
        answers_dict: bool = False,
    ) -> None:
        """Makes a graph of nodes that are in order of execution.

        Args:
          name: of the model.
          nodes: in order of execution.
          inputs: names of the nodes that are the model's inputs.
          outputs: names of the nodes whose outputs are the model's.
          output_names: what the user calls the outputs; by default `outputs`.
          answers_dict: whether these are the keys of a dict that the model answers with.
        """
        self.name = name
        self._nodes = {node.name: node for node in nodes}
        self.inputs = inputs
        self.outputs = outputs
        self.output_names = list(output_names or outputs)
        self.answers_dict = answers_dict

    def __iter__(self) -> Iterator[Node]:
        """Nodes in the order of execution."""
        return iter(list(self._nodes.values()))

    def __getitem__(self, name: str) -> Node:
        """The node of that name."""
        return self._nodes[name]

    def __contains__(self, name: str) -> bool:
        """Whether a node has that name."""
        return name in self._nodes

    def consumers(self, name: str) -> list[Node]:
        """Nodes that take the output of `name`."""
        return [node for node in self if name in node.inputs]

    def insert_after(self, name: str, *layers: Any) -> None:
        """Puts layers, one behind the other, between `name` and all who use its output."""
        nodes, source = [self._nodes[name]], name
        for layer in layers:
            nodes.append(Node(layer, [source]))
            source = layer.name
        self.substitute(name, nodes, source)

    def substitute(self, name: str, nodes: list[Node], output: str) -> None:
        """Puts nodes in the place of one; who read it reads `output`, the name of one of them."""
        readers = self.consumers(name)
        self.outputs = [output if given == name else given for given in self.outputs]
        found: dict[str, Node] = {}
        for given in self:
            if given.name == name:
                found.update({new.name: new for new in nodes})
            else:
                found[given.name] = given
        self._nodes = found
        for node in readers:
            node.inputs = [output if source == name else source for source in node.inputs]

    def remove(self, name: str) -> None:
        """Takes a node with one input out; its readers read that input."""
        (source,) = self._nodes.pop(name).inputs
        for node in self.consumers(name):
            node.inputs = [source if given == name else given for given in node.inputs]
        self.outputs = [source if output == name else output for output in self.outputs]

    def swap(self, first: str, second: str) -> None:
        """Exchanges two nodes with one input each, the second being the first's only reader."""
        before, after = self._nodes[first], self._nodes[second]
        for node in self.consumers(second):
            node.inputs = [first if name == second else name for name in node.inputs]
        self.outputs = [first if name == second else name for name in self.outputs]
        before.inputs, after.inputs = [second], before.inputs
        nodes: dict[str, Node] = {}
        for node in self:
            if node.name == first:
                nodes[second] = after
                nodes[first] = before
            elif node.name != second:
                nodes[node.name] = node
        self._nodes = nodes

    def replace_layer(self, name: str, layer: Any, weights: list[Any]) -> None:
        """Puts another layer of the same name in a node's place."""
        node = self._nodes[name]
        node.layer = layer
        node.weights = weights

    def as_given(self, outputs: list[Any]) -> Any:
        """Values for the outputs as the model answers: one by itself, several as a list or dict."""
        if self.answers_dict:
            return dict(zip(self.output_names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else outputs

    def free_name(self, wish: str) -> str:
        """`wish`, with a number behind it where a node already has that name."""
        name, number = wish, 1
        while name in self._nodes:
            name, number = f"{wish}_{number}", number + 1
        return name


def build_model(graph: Graph) -> Any:
    """Builds the graph as a functional tf_keras model with its weights."""
    tensors: dict[str, Any] = {}
    for node in graph:
        if not node.inputs:
            tensors[node.name] = node.layer.output
            continue
        leader = None if node.shares is None or node.layer.built else graph[node.shares].layer
        if leader is not None:
            take(node.layer, variables_of(leader))
        inputs = [tensors[name] for name in node.inputs]
        slots = {k: v.index for k, v in node.arguments.items() if isinstance(v, Slot)}
        first = [x for i, x in enumerate(inputs) if i not in slots.values()]
        arguments = {**node.arguments, **{key: inputs[i] for key, i in slots.items()}}
        single = len(first) == 1 and not node.as_list
        try:
            tensors[node.name] = node.layer(first[0] if single else first, **arguments)
        except (TypeError, ValueError, AttributeError) as error:
            raise UnsupportedError(
                f"Layer {node.name!r} ({type(node.layer).__name__}) does not take tensors of shape "
                f"{[tuple(x.shape) if hasattr(x, 'shape') else x for x in first]} here: "
                f"{(str(error).strip() or type(error).__name__).splitlines()[0][:200]} Build that "
                "part of the model of layers that docs/models.md lists."
            ) from error
        if leader is not None:
            tie(node.layer, leader)  # the layers inside it too
        if node.weights and node.shares is None:
            node.layer.set_weights(node.weights)
    return keras.Model(
        [tensors[name] for name in graph.inputs],
        graph.as_given([tensors[name] for name in graph.outputs]),
        name=graph.name,
    )
