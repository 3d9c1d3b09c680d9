# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 with given ImageNet weights, ready to be trained on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras
from numpy.typing import NDArray

from helpers.pictures import DataError


def mobilenet_v2(
    shape: tuple[int, int, int], weights: Path | None, pictures: NDArray[np.float32] | None = None
) -> Any:
    """MobileNetV2-1.0 (Sandler et al., arXiv 1801.04381) without its classifier.

    Args:
      shape: of the input, height, width and 3 channels of -1 to 1.
      weights: a Keras .h5 file of the network's weights; or an .npz of kernels and biases into
        which BatchNormalization is folded, with a `mapping` of layers to its arrays; None to begin
        with random ones.
      pictures: some inputs, float32 [n, height, width, 3], for folded weights: statistics of
        BatchNormalization are taken from them.

    Raises:
      DataError: the file has not the network's weights.
    """
    model = keras.applications.MobileNetV2(shape, include_top=False, weights=None)
    if weights is None:
        return model
    try:
        if weights.suffix == ".npz":
            _read_folded(model, weights)
        else:
            _read_by_name(model, weights)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise DataError(f"{weights} has no weights of MobileNetV2-1.0: {error!r}.") from error
    if weights.suffix == ".npz" and pictures is not None:
        unfold(model, pictures)
    return model


def _read_by_name(model: Any, path: Path) -> None:
    before = model.get_weights()
    model.load_weights(path, by_name=True, skip_mismatch=True)
    pairs = zip(before, model.get_weights(), strict=True)
    if all(np.array_equal(old, new) for old, new in pairs):
        raise ValueError("no layer has the name and the shape of one of its")


def _read_folded(model: Any, path: Path) -> None:
    with np.load(path, allow_pickle=False) as given:
        for name, norm, *_ in json.loads(str(given["mapping"])):
            if norm is None:
                continue  # the classifier
            keys = [key for key in given.files if key.startswith(f"{name}/")]
            kernel = given[next(key for key in keys if "kernel" in key)]
            layer, batch = model.get_layer(name), model.get_layer(norm)
            bias = given[f"{name}/folded_bias"]
            layer.set_weights([kernel.reshape(layer.get_weights()[0].shape)])
            one = np.ones_like(bias)
            batch.set_weights([one, bias, 0 * one, one * (1 - batch.epsilon)])


def unfold(model: Any, pictures: NDArray[np.float32]) -> None:
    """Takes out of kernels and BatchNormalization what was folded; nothing else is computed.

    Where it was folded, mean 0 and variance 1 stand for no statistics of anything, and the first
    step of a training would put others in their place. And channels of a kernel have its factors
    in them, so that a quantizer with one scale for all, as tfmot's of depthwise kernels is, leaves
    nothing of the small ones.

    Args:
      model: tf_keras model; changed.
      pictures: float32 [n, ...], inputs of it, for the statistics.
    """
    norms = [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]
    inputs = keras.Model(model.inputs, [each.input for each in norms])
    for norm, values in zip(norms, inputs.predict(pictures, batch_size=8, verbose=0), strict=True):
        gamma, beta, mean, variance = norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        axes = tuple(range(values.ndim - 1))
        measured, spread = values.mean(axes), values.var(axes)
        beta = beta + factor * (measured - mean)
        size = _divide_by_size(norm.inbound_nodes[0].inbound_layers)
        variance = spread / np.square(size)
        gamma = factor * size * np.sqrt(variance + norm.epsilon)
        norm.set_weights([gamma, beta, measured / size, variance])


def _divide_by_size(layer: Any) -> Any:
    """Gives each channel of a kernel a largest weight of 1, and says what it was; 1 for others."""
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) or layer.use_bias:
        return np.float32(1)
    (kernel,) = layer.get_weights()
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    by_channel = kernel.reshape(*kernel.shape[:2], -1) if depthwise else kernel
    size = np.abs(by_channel).max(axis=tuple(range(by_channel.ndim - 1)))
    size = np.where(size > 0, size, np.float32(1))
    layer.set_weights([(by_channel / size).reshape(kernel.shape)])
    return size
