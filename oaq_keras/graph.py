# SPDX-License-Identifier: Apache-2.0
"""A Keras model as a list of nodes, read from its config and built anew as a functional model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError


@dataclass
class Node:
    """One layer, called once.

    Attributes:
      layer: an unbuilt tf_keras layer of this graph's own.
      inputs: names of the nodes whose outputs it takes.
      weights: values for the layer, in the order of `layer.get_weights()`.
      as_list: the layer takes a list of tensors, even of one.
      arguments: further keyword arguments of the call.
    """

    layer: Any
    inputs: list[str]
    weights: list[Any] = field(default_factory=list)
    as_list: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)


class Graph:
    """Nodes in the order of execution, and the names of the model's inputs and outputs."""

    def __init__(self, name: str, nodes: list[Node], inputs: list[str], outputs: list[str]) -> None:
        """Makes a graph of nodes that are in order of execution."""
        self.name = name
        self._nodes = {node.name: node for node in nodes}
        self.inputs = inputs
        self.outputs = outputs

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

    def insert_after(self, name: str, layer: Any) -> None:
        """Puts `layer` between `name` and all who use its output."""
        for node in self.consumers(name):
            node.inputs = [layer.name if source == name else source for source in node.inputs]
        self.outputs = [layer.name if output == name else output for output in self.outputs]
        nodes: dict[str, Node] = {}
        for node in self:
            nodes[node.name] = node
            if node.name == name:
                nodes[layer.name] = Node(layer, [name])
        self._nodes = nodes

    def remove(self, name: str) -> None:
        """Takes a node with one input out; its readers read that input."""
        (source,) = self._nodes.pop(name).inputs
        for node in self.consumers(name):
            node.inputs = [source if given == name else given for given in node.inputs]
        self.outputs = [source if output == name else output for output in self.outputs]

    def insert_before(self, name: str, node: Node) -> None:
        """Puts a node before another in the order of execution."""
        nodes: dict[str, Node] = {}
        for given in self:
            if given.name == name:
                nodes[node.name] = node
            nodes[given.name] = given
        self._nodes = nodes

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

    def free_name(self, wish: str) -> str:
        """`wish`, with a number behind it where a node already has that name."""
        name, number = wish, 1
        while name in self._nodes:
            name, number = f"{wish}_{number}", number + 1
        return name


def read_model(model: Any) -> Graph:
    """Reads a built tf_keras Sequential or Functional model.

    Raises:
      UnsupportedError: a subclassed or nested model, a shared layer, or an op without a layer; the
        message names it.
    """
    if isinstance(model, keras.Sequential):
        return _read_sequential(model)
    if not hasattr(model, "get_config") or not _is_functional(model):
        raise UnsupportedError(
            f"{type(model).__name__} {getattr(model, 'name', '')!r} is a subclassed model, whose "
            "layers cannot be seen from outside. Build it with the functional API: "
            "keras.Model(inputs, outputs)."
        )
    config = model.get_config()
    layers = {layer.name: layer for layer in model.layers}
    nodes = [_copy(layers[name], *call) for name, call in read_calls(config).items()]
    inputs = [entry[0] for entry in listed_entries(config["input_layers"])]
    outputs = [entry[0] for entry in listed_entries(config["output_layers"])]
    return Graph(model.name, nodes, inputs, outputs)


def read_calls(config: dict[str, Any]) -> dict[str, tuple[list[str], dict[str, Any], bool]]:
    """How the layers of a functional model's config are called, in the order of execution.

    Returns:
      By name of the layer: names of its inputs, keyword arguments, whether it takes a list.

    Raises:
      UnsupportedError: a shared layer, or a call that no layer stands for; the message names it.
    """
    found = {}
    for entry in config["layers"]:
        name, calls = entry["name"], entry["inbound_nodes"]
        check_call_count(name, len(calls))
        found[name] = _read_call(name, calls[0]) if calls else ([], {}, False)
    return found


def build_model(graph: Graph) -> Any:
    """Builds the graph as a functional tf_keras model with its weights."""
    tensors: dict[str, Any] = {}
    for node in graph:
        if not node.inputs:
            tensors[node.name] = node.layer.output
            continue
        arguments = [tensors[name] for name in node.inputs]
        single = len(arguments) == 1 and not node.as_list
        tensors[node.name] = node.layer(arguments[0] if single else arguments, **node.arguments)
        if node.weights:
            node.layer.set_weights(node.weights)
    return keras.Model(
        [tensors[name] for name in graph.inputs],
        _as_given([tensors[name] for name in graph.outputs]),
        name=graph.name,
    )


def _as_given(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _is_functional(model: Any) -> bool:
    try:
        return "output_layers" in model.get_config()
    except NotImplementedError:
        return False


def _read_sequential(model: Any) -> Graph:
    name = input_name(model)
    first = keras.layers.InputLayer(
        batch_input_shape=model.input_shape, dtype=model.inputs[0].dtype, name=name
    )
    nodes = [Node(first, [])]
    for layer in model.layers:
        nodes.append(_copy(layer, [nodes[-1].name], {}, False))
    return Graph(model.name, nodes, [first.name], [nodes[-1].name])


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


def check_call_count(name: str, calls: int) -> None:
    """Refuses a layer that is called more than once."""
    if calls > 1:
        raise UnsupportedError(
            f"Layer {name!r} is shared: it is called {calls} times. "
            "Give each call a layer of its own."
        )


def listed_entries(layers: Any) -> list[Any]:
    """Input or output entries of a config, which holds a lone one without its list."""
    if isinstance(layers, dict):
        return list(layers.values())
    return [layers] if layers and isinstance(layers[0], str) else list(layers)


def _read_call(name: str, call: Any) -> tuple[list[str], dict[str, Any], bool]:
    """Names of the inputs, keyword arguments, and whether the layer took a list."""
    entries = listed_entries(call)
    inputs = []
    arguments: dict[str, Any] = {}
    for entry in entries:
        source, _, tensor_index, kwargs = entry
        if tensor_index:
            raise UnsupportedError(
                f"Layer {name!r} takes output {tensor_index} of {source!r}; layers with several "
                "outputs cannot be quantized. Split them into layers with one output."
            )
        inputs.append(source)
        arguments.update(kwargs)
    if any(_mentions_tensor(value) for value in arguments.values()):
        raise UnsupportedError(
            f"Layer {name!r} takes tensors as keyword arguments, as Python operators on tensors "
            "do. Use a layer instead, such as keras.layers.Add()([a, b])."
        )
    return inputs, arguments, len(entries) > 1


def _mentions_tensor(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str)


def _copy(layer: Any, inputs: list[str], arguments: dict[str, Any], as_list: bool) -> Node:
    if isinstance(layer, keras.Model):
        raise UnsupportedError(
            f"Layer {layer.name!r} is a model inside the model. Call its layers in the outer "
            "model instead."
        )
    if type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda"):
        raise UnsupportedError(
            f"Layer {layer.name!r} is a TensorFlow function, not a layer. Use a layer instead, "
            "such as keras.layers.Add()([a, b]) for a + b."
        )
    copy = type(layer).from_config(layer.get_config())
    return Node(copy, inputs, layer.get_weights(), as_list, arguments)
