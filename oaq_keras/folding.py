# SPDX-License-Identifier: Apache-2.0
"""What the converter's folding of BatchNormalization cannot represent, put right before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras._keras import keras
from oaq_keras.quantizers import WeightQuantizer
from oaq_keras.trained import weight_quantizers
from oaq_keras.wrapper import wrappers

LARGEST_BIAS_CODE = 2.0**30
"""Largest bias that int32 surely holds, in units of its scale: the input's times the weights'."""


_LAST_BITS = 2.0**-20


@contextmanager
def foldable(model: Any) -> Iterator[None]:
    """Makes channels whose weights count for nothing beside their bias constant, for the export.

    Folding gives a channel with gamma 0 the weight scale 0, for which the converter falls back to
    float, and one with a tiny gamma or tiny weights a scale with which its bias does not fit int32.
    The most that such weights can add is far below one code of the output, so inside this scope
    they are zero, and BatchNormalization adds beta alone. Everything is put back afterwards.
    """
    layers = wrappers(model)
    changed: list[tuple[Any, NDArray[Any]]] = []

    def assign(variable: Any, values: NDArray[Any]) -> None:
        changed.append((variable, variable.numpy()))
        variable.assign(values)

    try:
        for name, quantizer in weight_quantizers(model).items():
            norm = None
            if quantizer.preserve is not None:
                assign(quantizer.kernel, quantizer.weights().numpy())
            if quantizer.normalization is not None:
                norm = layers[quantizer.normalization].layer
            _silence(layers[name].layer, norm, quantizer, assign)
        yield
    finally:
        for variable, values in reversed(changed):
            variable.assign(values)


def _silence(layer: Any, norm: Any, quantizer: WeightQuantizer, assign: Any) -> None:
    input_scale = quantizer.table.scale(quantizer.input_format)
    if input_scale is None or quantizer.one_scale:
        return
    kernel = quantizer.kernel
    channels = quantizer.channel_view(kernel.numpy())
    scale = np.broadcast_to(quantizer.current_scale().numpy(), channels.shape[-1:])
    bias = layer.bias.numpy() if layer.use_bias else np.zeros_like(scale)
    factor, shift = _affine(norm, scale)
    _tell_apart(layer, norm, bias * factor + shift, assign)
    with np.errstate(divide="ignore"):
        code = np.abs(bias * factor + shift) / (input_scale * scale * np.abs(factor))
    silent = ~(code < LARGEST_BIAS_CODE) & ~np.isnan(code)
    silent |= factor == 0
    if not silent.any():
        return
    assign(kernel, np.where(silent, 0.0, channels).reshape(kernel.shape))
    if norm is not None:
        _pass_beta_alone(norm, silent, bias, assign)


def _tell_apart(layer: Any, norm: Any, folded: NDArray[Any], assign: Any) -> None:
    """Changes one of several equal biases in its last bits.

    TensorFlow 2.21's converter stores equal values once, and then quantizes them with the first
    channel's scale for all channels.
    """
    variable = norm.beta if norm is not None and norm.center else None
    if variable is None and layer.use_bias:
        variable = layer.bias
    if variable is None or len(folded) < 2 or folded[0] == 0 or (folded != folded[0]).any():
        return
    values = variable.numpy()
    values[0] += np.abs(folded[0]) * _LAST_BITS
    assign(variable, values)


def _affine(norm: Any, like: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Factor and shift of a BatchNormalization; 1 and 0 without one."""
    if not isinstance(norm, keras.layers.BatchNormalization):
        return np.ones_like(like), np.zeros_like(like)
    factor = 1 / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma.numpy()
    shift = -norm.moving_mean.numpy() * factor
    return factor, shift + norm.beta.numpy() if norm.center else shift


def _pass_beta_alone(norm: Any, silent: NDArray[Any], bias: NDArray[Any], assign: Any) -> None:
    """Lets silent channels, which are `bias` before the normalization, leave it as before."""
    factor, shift = _affine(norm, bias)
    answer = bias * factor + shift
    beta = norm.beta.numpy() if norm.center else np.zeros_like(bias)
    if norm.scale:
        assign(norm.gamma, np.where(silent, 1.0, norm.gamma.numpy()))
    assign(norm.moving_variance, np.where(silent, 1.0, norm.moving_variance.numpy()))
    unit = 1 / np.sqrt(1.0 + norm.epsilon)
    mean = bias - (answer - beta) / unit
    assign(norm.moving_mean, np.where(silent, mean, norm.moving_mean.numpy()))
