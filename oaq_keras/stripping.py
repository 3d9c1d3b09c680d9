# SPDX-License-Identifier: Apache-2.0
"""Quantized models as plain Keras models, which need nothing of this package."""

from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.channel_affine import ChannelAffine
from oaq_keras.configs import QuantizeInput
from oaq_keras.errors import UnsupportedError
from oaq_keras.float_layers import InFloat
from oaq_keras.images import AsImages, FromImages
from oaq_keras.normalization import FreezableBatchNormalization
from oaq_keras.shared_variables import variables_of
from oaq_keras.tflite_layers import TFLITE_LAYERS
from oaq_keras.trained import weight_quantizers
from oaq_keras.wrapper import inner_of

_STOCK = {ours: theirs for theirs, ours in TFLITE_LAYERS.items()}
_STOCK[FreezableBatchNormalization] = keras.layers.BatchNormalization
_OF_OURS = ("inference",)


def strip(model: Any, dtype: str = "float32") -> Any:
    """Takes the formats off a quantized model: stock layers, with the weights that its file has.

    Kernels hold code times scale, so that `quantize` and `convert` of the result find the same
    codes again where the bound lets them; activations are not rounded any more.

    Args:
      model: a model from `quantize`.
      dtype: "float32", or "float16" to compute and to store in half precision.

    Returns:
      A tf_keras model of stock layers, not compiled.

    Raises:
      UnsupportedError: not a model from `quantize`.
      ValueError: another dtype.
    """
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype is 'float32' or 'float16', got {dtype!r}.")
    quantizers = weight_quantizers(model)
    if not quantizers:
        raise UnsupportedError(
            f"strip() takes a model from oaq_keras.quantize(), got {type(model).__name__} without "
            "quantized weights."
        )
    names = _names(model)
    stripped = keras.models.clone_model(
        model, clone_function=lambda each: _stock(each, names[each.name], dtype)
    )
    plain = keras.Model(stripped.inputs, stripped.outputs, name=model.name)
    for layer in model.layers:
        inner = inner_of(layer)
        made = plain.get_layer(names[layer.name])
        if isinstance(layer, QuantizeInput) or not made.weights:
            continue
        if inner is layer:  # in float, perhaps with layers inside it
            made.set_weights(layer.get_weights())
            continue
        found = {**variables_of(inner), **variables_of(layer)}
        values = {name: variable.numpy() for name, variable in found.items()}
        if inner.name in quantizers:
            quantizer = quantizers[inner.name]
            name = quantizer.attribute
            values[name] = quantizer(tf.constant(values[name]), False, {}).numpy()
        made.set_weights([values[name] for name in variables_of(made)])
    return plain


def _names(model: Any) -> dict[str, str]:
    """What layers were called before they were wrapped; outputs may have a layer of that name."""
    taken = {layer.name for layer in model.layers}
    inner = {layer.name: inner_of(layer).name for layer in model.layers}
    return {name: name if found in taken else found for name, found in inner.items()}


def _stock(layer: Any, name: str, dtype: str) -> Any:
    """The stock layer that computes what a layer of a quantized model does, without weights."""
    inner = inner_of(layer)
    if isinstance(inner, keras.layers.InputLayer):
        return inner
    named = {"name": name, "dtype": dtype}
    if isinstance(inner, QuantizeInput):
        return keras.layers.Activation("linear", **named)
    if isinstance(inner, (AsImages, FromImages)):
        *_, channels = shape = layer.output_shape[1:]
        sizes = [-1 if size is None else size for size in shape[:-1]]
        return keras.layers.Reshape((*sizes, channels), **named)
    if isinstance(inner, ChannelAffine):
        return keras.layers.DepthwiseConv2D(1, use_bias=inner.shift is not None, **named)
    if isinstance(inner, InFloat):
        inner = inner.layer
    kind = _STOCK.get(type(inner), type(inner))
    config = {key: value for key, value in inner.get_config().items() if key not in _OF_OURS}
    return kind.from_config({**config, **named})
