# SPDX-License-Identifier: Apache-2.0
"""Layers that are left in float, why, and how the converter takes them."""

from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.custom_objects import FLOAT, marked
from oaq_keras.errors import UnsupportedError
from oaq_keras.exporting import is_exporting
from oaq_keras.graph import Graph
from oaq_keras.lowering import shapes_of

_REASONS = {
    **dict.fromkeys(
        ("LayerNormalization", "GroupNormalization", "UnitNormalization"),
        "TFLite has no int8 operator that normalizes by the values at hand",
    ),
    **dict.fromkeys(
        ("MultiHeadAttention", "Attention", "AdditiveAttention"),
        "its products are of two activations, whose sums no weights bound",
    ),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "Bidirectional"),
        "its state is fed back, and TFLite's int8 operator has formats of its own",
    ),
    **dict.fromkeys(("Embedding",), "it looks rows up, and sums nothing"),
}
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "Bidirectional")
_MOST_STEPS = 512


def float_reason(layer: Any) -> str | None:
    """Why a layer is left in float; None for those that are to be quantized."""
    if marked(layer) == FLOAT:
        return "custom_objects says so"
    return _REASONS.get(type(layer).__name__)


def float_layers(graph: Graph) -> dict[str, str]:
    """The nodes that are left in float, and why; recurrent ones are unrolled.

    Args:
      graph: changed in place. The converter cannot quantize around loops, nor around the operator
        that it makes of an LSTM.

    Raises:
      UnsupportedError: a recurrent layer that cannot be unrolled; the message names it.
    """
    found = {node.name: reason for node in graph if (reason := float_reason(node.layer))}
    recurrent = any(type(graph[name].layer).__name__ in _RECURRENT for name in found)
    shapes = shapes_of(graph) if recurrent else {}
    for name in found:
        node = graph[name]
        if marked(node.layer) == FLOAT:
            node.layer = InFloat(node.layer, name=name)
        if type(node.layer).__name__ not in _RECURRENT:
            continue
        steps = (shapes.get(node.inputs[0]) or (None, None))[1]
        if steps is None or steps > _MOST_STEPS:
            raise UnsupportedError(
                f"Layer {name!r} is a {type(node.layer).__name__} over "
                f"{'an unknown number of' if steps is None else steps} steps; at most "
                f"{_MOST_STEPS} can be exported beside int8 layers. Build the model with "
                "keras.Input(shape=(steps, features)), or leave that part out of the model."
            )
        node.layer = keras.layers.deserialize(_unrolled(keras.layers.serialize(node.layer)))
    return found


@keras.saving.register_keras_serializable("oaq_keras")
class InFloat(keras.layers.Wrapper):
    """A layer whose products the converter leaves in float, between int8 layers too."""

    def call(self, inputs: Any, **arguments: Any) -> Any:
        """Calls the layer; arguments are the layer's."""
        given = tf.nest.map_structure(_in_float, inputs)
        return tf.nest.map_structure(_in_float, self.layer(given, **arguments))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's."""
        return self.layer.compute_output_shape(input_shape)


def _in_float(tensor: Any) -> Any:
    """The same values, in the export by operators that have no int8 kernels."""
    if not is_exporting() or not tensor.dtype.is_floating:
        return tensor
    return tensor + 0.0 * tf.floor(tensor)


def _unrolled(entry: Any) -> Any:
    """A serialized recurrent layer, and those inside it, without a loop."""
    config = dict(entry["config"])
    if "unroll" in config:
        config["unroll"] = True
    for key in ("layer", "backward_layer"):
        if isinstance(config.get(key), dict):
            config[key] = _unrolled(config[key])
    return {**entry, "config": config}
