# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the weights of one int8 layer of a file, as real numbers and as codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import Model, constant, quantization, tensor_name
from oaq_keras.int8_layers import Int8Layer

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
      UnsupportedError: another layer uses the same tensors, or a bias does not fit int32 at the
        new scales; the message names the layer.
    """
    check_sole_reader(model, layer)
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


def check_sole_reader(model: Model, layer: Int8Layer) -> None:
    """Refuses a layer whose weights or bias another operator reads too.

    Raises:
      UnsupportedError: it names both.
    """
    graph = model.subgraphs[layer.subgraph]
    tensors = [layer.weights] + ([layer.bias] if layer.bias >= 0 else [])
    for op, operator in enumerate(graph.operators):
        for tensor in tensors:
            if op != layer.op and tensor in list(operator.inputs):
                raise UnsupportedError(
                    f"Layer {layer.name!r} shares the tensor {tensor_name(graph, tensor)!r} with "
                    f"operator {op}; changing its scale would change that one too. Give each "
                    "layer weights of its own."
                )


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
