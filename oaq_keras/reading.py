# SPDX-License-Identifier: Apache-2.0
"""A model's view as a graph: models inside it are unfolded, repeated calls share their weights."""

from dataclasses import replace
from typing import Any

from oaq_keras._keras import keras
from oaq_keras.errors import UnsupportedError
from oaq_keras.graph import Graph, Node
from oaq_keras.model_views import Call, LayerView, ModelView, Tensor


def graph_of(view: ModelView) -> Graph:
    """The graph of a model.

    Raises:
      UnsupportedError: a layer with several outputs, or one that cannot be copied; the message
        names it.
    """
    reader = _Reader()
    outputs = reader.unfold(view, None, "")
    inputs = [node.name for node in reader.nodes if isinstance(node.layer, keras.layers.InputLayer)]
    order = [reader.inputs[tensor] for tensor in view.inputs]
    order += [name for name in inputs if name not in order]
    names = view.keys or _names_of(view.outputs)
    return Graph(view.name, reader.nodes, order, outputs, names, view.keys is not None)


def _names_of(outputs: list[Tensor]) -> list[str]:
    """The layers' names, with a number behind where one of them gives several outputs."""
    found: list[str] = []
    for name, _, _ in outputs:
        taken, number = name, 1
        while taken in found:
            taken, number = f"{name}_{number}", number + 1
        found.append(taken)
    return found


_RANDOM = (
    *(keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D),
    *(keras.layers.GaussianNoise, keras.layers.GaussianDropout, keras.layers.AlphaDropout),
)
_BY_TRAINING = (*_RANDOM, keras.layers.BatchNormalization)


class _Reader:
    """Nodes made so far.

    Attributes:
      nodes: in order of execution.
      inputs: node of every input of the outermost model.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: dict[Tensor, str] = {}
        self._names: set[str] = set()
        self._first: dict[int, str] = {}

    def unfold(
        self, view: ModelView, given: list[str] | None, prefix: str, inference: bool = False
    ) -> list[str]:
        """Adds a model's nodes.

        Args:
          view: the model.
          given: the nodes that are its inputs; None for inputs of its own.
          prefix: of names that are taken already.
          inference: whether it is called so that it never trains.

        Returns:
          The nodes that are its outputs.
        """
        tensors: dict[Tensor, str] = {}
        if given is not None and len(given) != len(view.inputs):
            raise UnsupportedError(
                f"Model {view.name!r} takes {len(view.inputs)} inputs and is called with "
                f"{len(given)}. Give it a list of as many tensors."
            )
        if given is not None:
            tensors.update(zip(view.inputs, given, strict=True))
        referred = _last_calls(view)
        waiting: list[tuple[LayerView, int, Call]] = []
        for layer in view.layers:
            if layer.calls:
                # Models count the call by which they were made, and configs leave it out.
                first = referred.get(layer.name, 0) - len(layer.calls) + 1
                waiting += [(layer, first + i, call) for i, call in enumerate(layer.calls)]
            elif (layer.name, 0, 0) not in tensors:
                node = self._add(layer, [], Call([]), prefix)
                tensors[layer.name, 0, 0] = self.inputs[layer.name, 0, 0] = node
        while waiting:
            later = []
            for layer, number, call in waiting:
                if not all((source, at, 0) in tensors for source, at, _ in call.inputs):
                    later.append((layer, number, call))
                    continue
                never = inference and call.training is None
                told = replace(call, training=False) if never else call
                outputs = self._call(layer, told, tensors, prefix)
                tensors.update({(layer.name, number, i): name for i, name in enumerate(outputs)})
            if len(later) == len(waiting):
                layer, _, call = later[0]
                raise UnsupportedError(
                    f"Layer {layer.name!r} takes {call.inputs[0][0]!r}, which is no part of the "
                    f"model {view.name!r}. Build the model from its own inputs."
                )
            waiting = later
        return [tensors[tensor] for tensor in view.outputs]

    def _call(
        self, layer: LayerView, call: Call, tensors: dict[Tensor, str], prefix: str
    ) -> list[str]:
        inputs = []
        for tensor in call.inputs:
            if tensor not in tensors:
                raise UnsupportedError(
                    f"Layer {layer.name!r} takes output {tensor[2]} of {tensor[0]!r}; layers with "
                    "several outputs cannot be quantized. Split them into layers with one output."
                )
            inputs.append(tensors[tensor])
        if layer.model is not None:
            never = call.training is False
            return self.unfold(layer.model, inputs, f"{prefix}{layer.name}_", never)
        return [self._add(layer, inputs, call, prefix)]

    def _add(self, view: LayerView, inputs: list[str], call: Call, prefix: str) -> str:
        name = view.name if view.name not in self._names else f"{prefix}{view.name}"
        number = 1
        while name in self._names:
            name, number = f"{prefix}{view.name}_{number}", number + 1
        layer, weights = view.make(name)
        shares = self._first.setdefault(id(view if view.given is None else view.given), name)
        if call.training and isinstance(layer, _BY_TRAINING):
            raise UnsupportedError(
                f"Layer {view.name!r} is called with training=True, and TFLite only infers. Call "
                "it without."
            )
        inference = call.training is False
        if inference and isinstance(layer, _RANDOM):
            layer = keras.layers.Identity(name=name)
        node = Node(layer, inputs, weights, call.as_list, dict(call.arguments))
        node.inference = inference
        if shares != name and weights:
            node.shares = shares
        self._names.add(name)
        self.nodes.append(node)
        return name


def _last_calls(view: ModelView) -> dict[str, int]:
    """The number of each layer's last call, as tensors count them."""
    found: dict[str, int] = {}
    given = [tensor for layer in view.layers for call in layer.calls for tensor in call.inputs]
    for name, number, _ in [*given, *view.outputs]:
        found[name] = max(number, found.get(name, 0))
    return found


def input_view(name: str, shape: Any, dtype: Any) -> LayerView:
    """The view of an input of numbers, which training has as float32, whatever they are.

    Args:
      name: in its model.
      shape: its shape, batch first.
      dtype: what the model takes there.

    Raises:
      UnsupportedError: on making the layer, where it does not take numbers.
    """

    def make(name: str) -> tuple[Any, list[Any]]:
        if not str(dtype).startswith(("float", "bfloat", "int", "uint")):
            raise UnsupportedError(
                f"Input {name!r} takes {dtype}; inputs are numbers. Convert them before the model."
            )
        layer = keras.layers.InputLayer(batch_input_shape=tuple(shape), dtype="float32", name=name)
        return layer, []

    return LayerView(name, [], make)


def copied(layer: Any, name: str) -> Any:
    """An unbuilt copy of a tf_keras layer, by another name."""
    return type(layer).from_config({**layer.get_config(), "name": name})
