# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the weights of one int8 layer of a file, as real numbers and as codes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import Model, constant, quantization, tensor_name
from oaq_keras.int8_layers import Int8Layer
from oaq_keras.tflite_schema import schema

_PER_CHANNEL = ("CONV_2D", "DEPTHWISE_CONV_2D")
_LARGEST_BIAS = 2**31 - 1


@dataclass(frozen=True)
class LayerWeights:
    """What a layer's codes stand for.

    Attributes:
      weights: [channels, products] real weights.
      bias: [channels] real biases; zeros where the layer has none.
      scale: [channels] scales of the weights.
      one_scale: whether every runtime wants one scale for all channels.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    scale: NDArray[np.float64]
    one_scale: bool


def read_weights(model: Model, layer: Int8Layer) -> LayerWeights:
    """The real weights of a layer.

    FULLY_CONNECTED keeps one scale where it has one: not every runtime was checked with more.
    """
    graph = model.subgraphs[layer.subgraph]
    channels = len(layer.codes)
    given = quantization(graph, layer.weights, channels).scale.astype(np.float64)
    scale = np.broadcast_to(given, (channels,))
    bias = np.zeros(channels)
    if layer.bias >= 0:
        unit = quantization(graph, layer.input).scale[0].astype(np.float64)
        bias = constant(model, graph, layer.bias).astype(np.float64) * unit * scale
    return LayerWeights(
        layer.codes * scale[:, None],
        bias,
        scale.copy(),
        given.size == 1 and layer.kind not in _PER_CHANNEL,
    )


def write_weights(
    model: Model,
    layer: Int8Layer,
    codes: NDArray[np.int8],
    scale: NDArray[np.float64],
    bias: NDArray[np.float64],
) -> None:
    """Puts codes, scales and real biases in the place of a layer's.

    The input's scale is the one that the file has by then.

    Raises:
      UnsupportedError: a bias does not fit int32 at the new scales; the message names the layer.
    """
    layer = with_own_tensors(model, layer)
    graph = model.subgraphs[layer.subgraph]
    one_scale = bool((scale == scale[0]).all()) and layer.kind not in _PER_CHANNEL
    stored = (scale[:1] if one_scale else scale).astype(np.float32)
    weights = graph.tensors[layer.weights]
    depthwise = layer.kind == "DEPTHWISE_CONV_2D"
    weights.quantization.quantizedDimension = 3 if depthwise else 0
    _set_scales(weights, stored)
    set_data(model, weights, np.moveaxis(codes, 0, 1) if depthwise else codes)
    if layer.bias >= 0:
        unit = quantization(graph, layer.input).scale[0] * stored
        wanted = np.rint(bias / unit.astype(np.float64))
        if not (np.abs(wanted) <= _LARGEST_BIAS).all():
            raise UnsupportedError(
                f"Layer {layer.name!r} has a bias that int32 does not hold at its new scale: its "
                "weights are tiny beside it. Prune that channel, and quantize the model again."
            )
        tensor = graph.tensors[layer.bias]
        tensor.quantization.quantizedDimension = 0
        _set_scales(tensor, unit)
        set_data(model, tensor, wanted.astype("<i4"))


def with_own_tensors(model: Model, layer: Int8Layer) -> Int8Layer:
    """The layer, reading weights and bias that no other operator of the file reads.

    The converter merges equal constants, and a network may call a layer twice.

    Args:
      model: changed in place where they are shared.
      layer: one of its layers.
    """
    return replace(
        layer,
        weights=_own_tensor(model, layer, layer.weights),
        bias=_own_tensor(model, layer, layer.bias),
    )


def _own_tensor(model: Model, layer: Int8Layer, index: int) -> int:
    graph = model.subgraphs[layer.subgraph]
    if index < 0 or not any(
        op != layer.op and index in list(operator.inputs)
        for op, operator in enumerate(graph.operators)
    ):
        return index
    made = copy.deepcopy(graph.tensors[index])
    made.name = f"{tensor_name(graph, index)}/{layer.name}".encode()
    graph.tensors.append(made)
    operator = graph.operators[layer.op]
    number = len(graph.tensors) - 1
    operator.inputs = [number if int(each) == index else int(each) for each in operator.inputs]
    return number


def set_data(model: Model, tensor: schema.TensorT, values: NDArray[np.generic]) -> None:
    """Gives a tensor a buffer of its own: equal constants of other tensors may share the old."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.buffer = len(model.buffers)
    model.buffers.append(buffer)


def _set_scales(tensor: schema.TensorT, scale: NDArray[np.float32]) -> None:
    tensor.quantization.scale = scale
    tensor.quantization.zeroPoint = np.zeros(scale.size, np.int64)
    # What the converter saw of the real values would no longer be true.
    tensor.quantization.min = tensor.quantization.max = None
