# SPDX-License-Identifier: Apache-2.0
"""Small int8 .tflite files written straight from codes, so that tests need no converter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)
SAME, VALID = 0, 1

_TYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "float32": schema.TensorType.FLOAT32,
}
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "TRANSPOSE_CONV": 4}


class ModelBuilder:
    """Writes one subgraph, operator by operator; every method returns a tensor index.

    `model` is the schema's object and may be changed before `build`, for malformed files.
    """

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes, self.model.metadata = [], []
        self.model.signatureDefs = None
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        scale: float | Sequence[float] | None = 0.05,
        zero_point: int = 0,
        data: np.ndarray[Any, Any] | None = None,
        dtype: str = "int8",
        axis: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), _TYPES[dtype]
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            points = np.full(tensor.quantization.scale.shape, zero_point, np.int64)
            tensor.quantization.zeroPoint = points
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def input(
        self,
        shape: Sequence[int],
        scale: float = 0.05,
        zero_point: int = 0,
        dtype: str = "int8",
    ) -> int:
        name = f"input_{len(self.graph.inputs)}"
        index = self.tensor(name, shape, scale, zero_point, dtype=dtype)
        self.graph.inputs.append(index)
        return index

    def op(self, kind: str, inputs: Sequence[int], output: int, options: Any = None) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = _VERSIONS.get(kind, 2)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes)
        operator.inputs, operator.outputs = list(inputs), [output]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self.model.operatorCodes.append(code)
        self.graph.operators.append(operator)
        return output

    def conv(
        self,
        source: int,
        weights: np.ndarray[Any, Any],
        name: str = "conv",
        scale: float = 0.05,
        zero_point: int = 0,
        activation: int = NONE,
        padding: int = VALID,
        stride: int = 1,
    ) -> int:
        """CONV_2D with weight codes [channels, height, width, input channels]."""
        return self._window(
            "CONV_2D", source, weights, name, scale, zero_point, activation, padding, stride
        )

    def depthwise(
        self,
        source: int,
        weights: np.ndarray[Any, Any],
        name: str = "depthwise",
        scale: float = 0.05,
        zero_point: int = 0,
        activation: int = NONE,
        padding: int = VALID,
        stride: int = 1,
    ) -> int:
        """DEPTHWISE_CONV_2D with weight codes [1, height, width, channels]."""
        return self._window(
            "DEPTHWISE_CONV_2D",
            source,
            weights,
            name,
            scale,
            zero_point,
            activation,
            padding,
            stride,
        )

    def transpose_conv(
        self,
        source: int,
        weights: np.ndarray[Any, Any],
        name: str = "transposed",
        scale: float = 0.05,
        zero_point: int = 0,
        activation: int = NONE,
        padding: int = SAME,
        stride: int = 2,
    ) -> int:
        """TRANSPOSE_CONV with weight codes [channels, height, width, input channels]."""
        n, *size, _ = self.graph.tensors[source].shape
        outer = [
            s * stride if padding == SAME else (s - 1) * stride + t
            for s, t in zip(size, weights.shape[1:3], strict=True)
        ]
        shape = (n, *outer, len(weights))
        options = schema.TransposeConvOptionsT()
        options.padding, options.fusedActivationFunction = padding, activation
        options.strideH = options.strideW = stride
        output = self.tensor(name, shape, scale, zero_point)
        wanted = self.tensor(
            f"{name}/shape", (4,), None, data=np.array(shape, "<i4"), dtype="int32"
        )
        inner, bias = self._parameters(source, name, weights, 0)
        made = self.op("TRANSPOSE_CONV", [wanted, inner, source, bias], output, options)
        if activation == NONE:
            self.model.operatorCodes[-1].version = 3  # which runtimes before 2.15 have
        return made

    def fully_connected(
        self,
        source: int,
        weights: np.ndarray[Any, Any],
        name: str = "dense",
        scale: float = 0.05,
        zero_point: int = 0,
        activation: int = NONE,
    ) -> int:
        """FULLY_CONNECTED with weight codes [channels, products]."""
        channels, products = weights.shape
        rows = int(np.prod(self.graph.tensors[source].shape)) // products
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = activation
        output = self.tensor(name, (rows, channels), scale, zero_point)
        inputs = [source, *self._parameters(source, name, weights, 0, per_channel=False)]
        return self.op("FULLY_CONNECTED", inputs, output, options)

    def quantize(
        self,
        source: int,
        scale: float,
        zero_point: int,
        dtype: str = "int8",
        name: str | None = None,
    ) -> int:
        """QUANTIZE into another scale, zero point or type."""
        shape = self.graph.tensors[source].shape
        name = name or f"quantized_{len(self.graph.tensors)}"
        output = self.tensor(name, shape, scale, zero_point, dtype=dtype)
        return self.op("QUANTIZE", [source], output, schema.QuantizeOptionsT())

    def pad(self, source: int, paddings: list[list[int]]) -> int:
        """PAD with the zero point."""
        shape = [
            size + before + after
            for size, (before, after) in zip(
                self.graph.tensors[source].shape, paddings, strict=True
            )
        ]
        around = np.asarray(paddings, np.int32)
        constant = self.tensor("paddings", around.shape, None, data=around, dtype="int32")
        given = self.graph.tensors[source]
        dtype = "uint8" if given.type == schema.TensorType.UINT8 else "int8"
        scale, zero_point = given.quantization.scale, int(given.quantization.zeroPoint[0])
        name = f"padded_{len(self.graph.tensors)}"
        output = self.tensor(name, shape, scale, zero_point, dtype=dtype)
        return self.op("PAD", [source, constant], output, schema.PadOptionsT())

    def leaky_relu(self, source: int, alpha: float, scale: float, zero_point: int) -> int:
        """LEAKY_RELU into another scale and zero point of the same type."""
        given = self.graph.tensors[source]
        dtype = "uint8" if given.type == schema.TensorType.UINT8 else "int8"
        name = f"leaked_{len(self.graph.tensors)}"
        output = self.tensor(name, given.shape, scale, zero_point, dtype=dtype)
        options = schema.LeakyReluOptionsT()
        options.alpha = alpha
        return self.op("LEAKY_RELU", [source], output, options)

    def add(
        self, a: int, b: int, name: str = "add", scale: float = 0.05, activation: int = NONE
    ) -> int:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = activation
        output = self.tensor(name, self.graph.tensors[a].shape, scale)
        return self.op("ADD", [a, b], output, options)

    def pool(
        self, source: int, kind: str = "MAX_POOL_2D", name: str = "pool", activation: int = NONE
    ) -> int:
        """2x2, VALID; the output keeps the input's quantization."""
        n, height, width, channels = self.graph.tensors[source].shape
        options = schema.Pool2DOptionsT()
        options.padding = VALID
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
        options.fusedActivationFunction = activation
        shape = (n, height // 2, width // 2, channels)
        return self.op(kind, [source], self.like(source, name, shape), options)

    def concat(self, *sources: int, name: str = "concat") -> int:
        shape = list(self.graph.tensors[sources[0]].shape)
        shape[-1] = sum(self.graph.tensors[i].shape[-1] for i in sources)
        options = schema.ConcatenationOptionsT()
        options.axis = len(shape) - 1
        return self.op("CONCATENATION", sources, self.like(sources[0], name, shape), options)

    def like(self, source: int, name: str, shape: Sequence[int] | None = None) -> int:
        """A tensor with the quantization of another."""
        given = self.graph.tensors[source]
        scale, zero_point = given.quantization.scale, int(given.quantization.zeroPoint[0])
        return self.tensor(name, given.shape if shape is None else shape, scale, zero_point)

    def build(self, *outputs: int) -> bytes:
        self.graph.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _parameters(
        self,
        source: int,
        name: str,
        weights: np.ndarray[Any, Any],
        axis: int,
        per_channel: bool = True,
    ) -> tuple[int, int]:
        channels = weights.shape[axis]
        scale = np.linspace(0.004, 0.006, channels) if per_channel else np.array([0.005])
        bias = np.arange(channels, dtype="<i4") * 7 - 3 * channels
        bias_scale = scale * self.graph.tensors[source].quantization.scale[0]
        return (
            self.tensor(
                f"{name}/weights", weights.shape, scale, 0, weights.astype(np.int8), axis=axis
            ),
            self.tensor(f"{name}/bias", (channels,), bias_scale, 0, bias, "int32"),
        )

    def _window(
        self,
        kind: str,
        source: int,
        weights: np.ndarray[Any, Any],
        name: str,
        scale: float,
        zero_point: int,
        activation: int,
        padding: int,
        stride: int,
    ) -> int:
        n, *size, input_channels = self.graph.tensors[source].shape
        taps = weights.shape[1:3]
        window = [
            -(-s // stride) if padding == SAME else (s - t) // stride + 1
            for s, t in zip(size, taps, strict=True)
        ]
        axis = 0 if kind == "CONV_2D" else 3
        channels = weights.shape[axis]
        if kind == "CONV_2D":
            options = schema.Conv2DOptionsT()
        else:
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = channels // input_channels
        options.padding, options.fusedActivationFunction = padding, activation
        options.strideH = options.strideW = stride
        output = self.tensor(name, (n, *window, channels), scale, zero_point)
        inputs = [source, *self._parameters(source, name, weights, axis)]
        return self.op(kind, inputs, output, options)


def random_codes(
    rng: np.random.Generator, *shape: int, largest: int = 127
) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Codes in [-largest, largest]."""
    return rng.integers(-largest, largest + 1, shape).astype(np.int8)


def small_network(largest: int = 127, seed: int = 1) -> bytes:
    """Conv, depthwise, 1x1 conv, residual add, pool, concat and a fully connected layer.

    Activations are closed to [0, 127] by a fused RELU and a zero point of 0, but for the sum of
    the residual branch, which is signed. Weights of at most 31 are proven at T = 16, those of 127
    are not.
    """
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    x = builder.input((1, 8, 8, 3), zero_point=-1)
    first = builder.conv(
        x, random_codes(rng, 8, 3, 3, 3, largest=largest), "first", 0.1, 0, RELU, SAME
    )
    spatial = builder.depthwise(
        first, random_codes(rng, 1, 3, 3, 8, largest=largest), "spatial", 0.1, 0, RELU, SAME
    )
    mixed = builder.conv(spatial, random_codes(rng, 8, 1, 1, 8, largest=largest), "mixed", 0.1)
    total = builder.add(first, mixed, "sum", 0.15)
    wide = builder.conv(
        total, random_codes(rng, 16, 3, 3, 8, largest=largest), "wide", 0.2, 0, RELU, SAME, 2
    )
    both = builder.concat(wide, wide, name="both")
    pooled = builder.pool(both, name="pooled")
    dense = builder.fully_connected(
        pooled, random_codes(rng, 10, 128, largest=largest), "dense", 0.5, 3
    )
    return builder.build(dense)


def upsampling_network(largest: int = 127, seed: int = 1) -> bytes:
    """TRANSPOSE_CONVs whose phases have 1, 2 and 4 taps, and one with gaps, between two CONV_2D."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    x = builder.input((1, 4, 5, 3), zero_point=-1)
    first = builder.conv(
        x, random_codes(rng, 8, 3, 3, 3, largest=largest), "first", 0.1, 0, RELU, SAME
    )
    up = builder.transpose_conv(
        first, random_codes(rng, 9, 3, 3, 8, largest=largest), "up", 0.2, -128
    )
    closed = builder.op("RELU", [up], builder.like(up, "closed"))
    gaps = builder.transpose_conv(
        closed,
        random_codes(rng, 5, 2, 2, 9, largest=largest),
        "gaps",
        0.3,
        5,
        padding=VALID,
        stride=3,
    )
    return builder.build(
        builder.conv(gaps, random_codes(rng, 4, 1, 1, 5, largest=largest), "last", 0.5)
    )


def enlarging_network(largest: int = 127, seed: int = 1) -> bytes:
    """TRANSPOSE_CONVs of few channels, whose phases are merged, and a PAD behind one."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    x = builder.input((1, 5, 6, 3), zero_point=-1)
    first = builder.conv(
        x, random_codes(rng, 16, 3, 3, 3, largest=largest), "first", 0.1, 0, RELU, SAME
    )
    up = builder.transpose_conv(
        first, random_codes(rng, 2, 5, 5, 16, largest=largest), "up", 0.2, -128
    )
    padded = builder.pad(up, [[0, 0], [1, 0], [0, 2], [0, 0]])
    wide = builder.conv(
        padded, random_codes(rng, 24, 1, 1, 2, largest=largest), "wide", 0.3, -128, RELU
    )
    return builder.build(
        builder.transpose_conv(
            wide, random_codes(rng, 1, 4, 4, 24, largest=largest), "last", 0.5, 5, padding=VALID
        )
    )


def requantizing_network(largest: int = 127, seed: int = 1) -> bytes:
    """QUANTIZE to uint8, back in another scale, and between layers; large enough for threads."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    x = builder.input((1, 64, 72, 8), zero_point=-1)
    unsigned = builder.quantize(x, 0.05, 127, "uint8")
    signed = builder.quantize(unsigned, 0.07, 3)
    first = builder.conv(
        signed, random_codes(rng, 8, 3, 3, 8, largest=largest), "first", 0.1, -128, RELU, SAME, 2
    )
    rescaled = builder.quantize(first, 0.13, -128)
    return builder.build(
        builder.conv(rescaled, random_codes(rng, 4, 3, 3, 8, largest=largest), "last", 0.5)
    )


def threaded_network(largest: int = 127, seed: int = 1) -> bytes:
    """Layers of enough MACs that each is split over threads, by rows or, the last, by channels."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    x = builder.input((2, 48, 40, 8), zero_point=-1)
    first = builder.conv(
        x, random_codes(rng, 24, 3, 3, 8, largest=largest), "first", 0.1, 0, RELU, SAME
    )
    spatial = builder.depthwise(
        first, random_codes(rng, 1, 5, 5, 24, largest=largest), "spatial", 0.1, 0, RELU, SAME
    )
    mixed = builder.conv(spatial, random_codes(rng, 40, 1, 1, 24, largest=largest), "mixed", 0.1)
    up = builder.transpose_conv(
        builder.pool(mixed), random_codes(rng, 12, 3, 3, 40, largest=largest), "up", 0.2, 3
    )
    return builder.build(
        builder.fully_connected(up, random_codes(rng, 33, 23040, largest=largest), "dense", 2.0)
    )
