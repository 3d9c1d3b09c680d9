# SPDX-License-Identifier: Apache-2.0
"""What `verify` finds in a file: its layers' weight codes and activation ranges.

Shares no code with the exporter, `certify` or the kernels. Plain on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from oaq_keras.errors import ModelFileError
from oaq_keras.tflite_schema import schema
from oaq_keras.verification_file import OPTIONS, OURS, POOLS, kind_of, name_of, option_of
from oaq_keras.verification_transposed import merged, phases

_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D")
_FULL = (-128, 127)
_BYTES = {schema.TensorType.INT8: _FULL, schema.TensorType.UINT8: (0, 255)}
_MOVERS = frozenset(
    (
        *POOLS,
        *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE"),
        *("STRIDED_SLICE", "SLICE", "SPLIT", "SPLIT_V", "GATHER", "TILE", "BROADCAST_TO"),
        *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"),
        *("RESIZE_NEAREST_NEIGHBOR", "PAD", "MIRROR_PAD"),
    )
)
_WRITE_ZEROS = frozenset(("PAD", "MIRROR_PAD", "SPACE_TO_BATCH_ND"))
_COMBINERS = frozenset(("CONCATENATION", "PACK", "MINIMUM", "MAXIMUM"))
# An int32 holds the sum of so many codes; the runtime's average of more may wrap.
_LARGEST_AVERAGE = 2**23
_LIMITS = {1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
_ALONE = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_FUSING = frozenset((*OURS.values(), "ADD", "SUB", "MUL"))


@dataclass(frozen=True)
class Layer:
    """An int8 convolution or fully connected layer.

    Attributes:
      subgraph, op, name, kind: which layer.
      low, high: the input's activation range, padding included.
      matrices: weight codes, [channels][products] for each group of a grouped convolution and for
        each phase of the stride of a transposed one, else a single matrix.
      taps: height and width of a depthwise filter.
      macs: multiplications of one invocation.
      merged: of a transposed convolution, [stride * stride * channels][products]: its phases as one
        convolution whose outputs are blocks of them; empty where outputs meet no tap.
      first: whether it reads the subgraph's input, straight or through operators that pass it on.
    """

    subgraph: int
    op: int
    name: str
    kind: str
    low: int
    high: int
    matrices: list[list[list[int]]]
    taps: tuple[int, int] = (1, 1)
    macs: int = 0
    merged: list[list[int]] = field(default_factory=list)
    first: bool = False


@dataclass(frozen=True)
class Skipped:
    """A layer of these kinds that sums no constant int8 codes."""

    subgraph: int
    op: int
    name: str


@dataclass(frozen=True)
class Recoding:
    """What sums nothing: a QUANTIZE or LEAKY_RELU of an 8-bit tensor, or a PAD of one.

    Attributes:
      subgraph, op, name: which operator.
      low, high: the input's activation range.
      runs: how a plan may run it: codes are looked up in a "table", or it is a "copy".
    """

    subgraph: int
    op: int
    name: str
    low: int
    high: int
    runs: str


def recodings_of(model: Any) -> list[Recoding]:
    """The QUANTIZE operators of a model between 8-bit tensors, LEAKY_RELUs and PADs of such.

    Raises:
      ModelFileError: fields contradict each other.
    """
    found = []
    try:
        for position, graph in enumerate(model.subgraphs):
            ranges = _ranges(model, graph)
            for op, operator in enumerate(graph.operators):
                kind = kind_of(model, operator)
                recodes = kind == "QUANTIZE" and _recode(graph, operator) is not None
                recodes = recodes or (kind == "LEAKY_RELU" and _leaks(graph, operator))
                if recodes or (kind == "PAD" and _pads(graph, operator)):
                    source, output = operator.inputs[0], operator.outputs[0]
                    known = _bytes_range(graph, source, ranges)
                    runs = "table" if recodes else "copy"
                    found.append(Recoding(position, op, name_of(graph, output), *known, runs))
    except Exception as error:  # as in layers_of
        raise _damaged(error) from error
    return found


def layers_of(model: Any) -> tuple[list[Layer], list[Skipped]]:
    """The int8 convolutions and fully connected layers of a model, and those left out.

    Raises:
      ModelFileError: a layer that no runtime could run.
    """
    found, skipped = [], []
    try:
        for position, graph in enumerate(model.subgraphs):
            ranges = _ranges(model, graph)
            from_input = _from_input(model, graph)
            written = {i for o in graph.operators for i in o.outputs} | {*graph.inputs}
            for op, operator in enumerate(graph.operators):
                given = kind_of(model, operator)
                kind = OURS.get(given, given)
                if kind not in OURS.values():
                    continue
                name = name_of(graph, operator.outputs[0])
                if _sums_constant_codes(model, graph, operator, kind, written):
                    source = operator.inputs[2 if kind == "TRANSPOSE_CONV" else 0]
                    first = source in from_input
                    facts = _layer(model, graph, operator, kind, ranges[source])
                    found.append(Layer(position, op, name, kind, *facts, first=first))
                elif given in OURS:
                    raise ValueError(f"{given} {name!r} sums no constant int8 codes")
                else:
                    skipped.append(Skipped(position, op, name))
    except ModelFileError:
        raise
    except Exception as error:  # whatever fields that contradict each other lead to
        raise _damaged(error) from error
    return found, skipped


def _damaged(error: Exception) -> ModelFileError:
    return ModelFileError(
        f"the model is damaged ({type(error).__name__}: {error}); fetch or export it again"
    )


def _ranges(model: Any, graph: Any) -> list[tuple[int, int]]:
    ranges = [_FULL] * len(graph.tensors)
    sure = _written_once(model, graph)
    for index in sure:
        tensor = graph.tensors[index]
        data = model.buffers[tensor.buffer].data
        dense = not tensor.isVariable and tensor.sparsity is None
        if len(data) and dense and tensor.type == schema.TensorType.INT8:
            codes = np.asarray(data).view(np.int8)
            ranges[index] = (int(codes.min()), int(codes.max()))
    for operator in graph.operators:
        for output in operator.outputs:
            if output in sure and graph.tensors[output].type == schema.TensorType.INT8:
                ranges[output] = _written(model, graph, operator, output, ranges)
    return ranges


def _written_once(model: Any, graph: Any) -> set[int]:
    """Tensors with one writer, which no operator reads before it has written."""
    count = [0] * len(graph.tensors)
    for index, tensor in enumerate(graph.tensors):
        count[index] += bool(len(model.buffers[tensor.buffer].data) or tensor.isVariable)
    for index in graph.inputs:
        count[index] += 1
    early = set()
    for operator in graph.operators:
        early |= {index for index in operator.inputs if index >= 0 and not count[index]}
        for index in operator.outputs:
            if index >= 0:
                count[index] += 1
    return {index for index, writers in enumerate(count) if writers == 1} - early


def _from_input(model: Any, graph: Any) -> set[int]:
    """The subgraph's inputs, and what operators make of them that only move or rescale codes."""
    found = set(graph.inputs)
    for operator in graph.operators:
        kind = kind_of(model, operator)
        if kind in _MOVERS or kind == "QUANTIZE":
            source = operator.inputs[1 if kind == "SPLIT" else 0 :][:1]
            if source and source[0] in found:
                found.update(operator.outputs)
    return found


def _written(
    model: Any, graph: Any, operator: Any, output: int, ranges: list[tuple[int, int]]
) -> tuple[int, int]:
    kind = kind_of(model, operator)
    if kind in OURS:
        low, high = _clipped(graph, output, option_of(operator, kind, "activation"), _FULL)
        limits = (option_of(operator, kind, "output_lo"), option_of(operator, kind, "output_hi"))
        return max(low, min(limits[0], high)), min(high, max(limits[1], low))
    if kind == "TRANSPOSE_CONV" and model.operatorCodes[operator.opcodeIndex].version < 4:
        return _FULL  # the fused activation came with version 4
    if kind in _FUSING:
        return _clipped(graph, output, option_of(operator, kind, "activation"), _FULL)
    if kind in _ALONE:
        return _clipped(graph, output, _ALONE[kind], _FULL)
    if kind in _MOVERS:
        return _moved(graph, operator, kind, output, ranges)
    if kind == "QUANTIZE":
        return _recoded(graph, operator, ranges)
    inputs = operator.inputs
    if kind in _COMBINERS and inputs and all(_alike(graph, index, output) for index in inputs):
        lows, highs = [ranges[i][0] for i in inputs], [ranges[i][1] for i in inputs]
        low = max(lows) if kind == "MAXIMUM" else min(lows)
        return low, min(highs) if kind == "MINIMUM" else max(highs)
    return _FULL


def _moved(
    graph: Any, operator: Any, kind: str, output: int, ranges: list[tuple[int, int]]
) -> tuple[int, int]:
    """What an operator leaves that writes codes of one of its inputs."""
    low, high = _FULL
    source = operator.inputs[1 if kind == "SPLIT" else 0 :][:1]
    if source and _alike(graph, source[0], output):
        low, high = ranges[source[0]]
        if kind in _WRITE_ZEROS:
            low, high = _with_zero(graph, output, low, high)
    if kind not in POOLS:
        return low, high
    across, down = (option_of(operator, kind, name) for name in ("filterWidth", "filterHeight"))
    if kind == "AVERAGE_POOL_2D" and across * down > _LARGEST_AVERAGE:
        low, high = _FULL
    return _clipped(graph, output, option_of(operator, kind, "activation"), (low, high))


def _recoded(graph: Any, operator: Any, ranges: list[tuple[int, int]]) -> tuple[int, int]:
    """What QUANTIZE leaves: the codes that it makes of the input's, whichever kernel runs it."""
    recode = _recode(graph, operator)
    if recode is None or graph.tensors[operator.outputs[0]].type != schema.TensorType.INT8:
        return _FULL
    low, high = _bytes_range(graph, operator.inputs[0], ranges)
    codes = [recode(code) for code in range(low, high + 1)]
    # XNNPACK rounds the scales' ratio to eight bits behind the point, which moves a product by less
    # than half a code.
    given, made = (_affine(graph, i, _BYTES) for i in (operator.inputs[0], operator.outputs[0]))
    same = given is not None and made is not None and given[0] == made[0]
    return max(-128, min(codes) - (not same)), min(127, max(codes) + (not same))


def _bytes_range(graph: Any, index: int, ranges: list[tuple[int, int]]) -> tuple[int, int]:
    """Codes of an 8-bit tensor; those of uint8 are not followed through the graph."""
    kind = graph.tensors[index].type
    return ranges[index] if kind == schema.TensorType.INT8 else _BYTES[kind]


def _recode(graph: Any, operator: Any) -> Callable[[int], int] | None:
    """What TFLite's QUANTIZE makes of a code; None unless it is one of 8-bit tensors.

    Its fixed-point product is of (code - zero point) * 2^left and a 31-bit mantissa of the ratio of
    the scales, rounded to 32 bits, halves up, then divided by 2^right, halves away from zero.
    """
    inputs, outputs = operator.inputs, operator.outputs
    if len(inputs) != 1 or len(outputs) != 1 or min(*inputs, *outputs) < 0:
        return None
    given, made = _affine(graph, inputs[0], _BYTES), _affine(graph, outputs[0], _BYTES)
    if given is None or made is None:
        return None
    ratio = Fraction(float(given[0]) / float(made[0]))
    exponent = 0
    while ratio >= 1:
        ratio, exponent = ratio / 2, exponent + 1
    while 0 < ratio < Fraction(1, 2):
        ratio, exponent = ratio * 2, exponent - 1
    mantissa = math.floor(ratio * 2**31 + Fraction(1, 2))
    if mantissa == 2**31:
        mantissa, exponent = mantissa // 2, exponent + 1
    if exponent > 23:
        return None  # 255 * 2^24 and the output's zero point are too much for 32 bits
    if exponent < -31:
        mantissa, exponent = 0, 0
    least, most = _BYTES[graph.tensors[outputs[0]].type]

    def recode(code: int) -> int:
        product = Fraction((code - given[1]) * mantissa * 2 ** max(exponent, 0), 2**31)
        scaled = Fraction(math.floor(product + Fraction(1, 2)), 2 ** max(-exponent, 0))
        away = math.floor(abs(scaled) + Fraction(1, 2))
        return max(least, min(most, made[1] + (away if scaled >= 0 else -away)))

    return recode


def _leaks(graph: Any, operator: Any) -> bool:
    """Whether a LEAKY_RELU is of codes of one 8-bit type, and leaves their order as it is.

    What it leaves is not followed: all codes are taken for possible behind it.
    """
    inputs, outputs = operator.inputs, operator.outputs
    if len(inputs) != 1 or len(outputs) != 1 or min(*inputs, *outputs) < 0:
        return False
    given, made = _affine(graph, inputs[0], _BYTES), _affine(graph, outputs[0], _BYTES)
    options = operator.builtinOptions
    return (
        given is not None
        and made is not None
        and graph.tensors[inputs[0]].type == graph.tensors[outputs[0]].type
        and isinstance(options, schema.LeakyReluOptionsT)
        and 0 <= options.alpha < math.inf
    )


def _pads(graph: Any, operator: Any) -> bool:
    """Whether a PAD copies codes of one 8-bit type, scale and zero point."""
    inputs, outputs = operator.inputs, operator.outputs
    if len(inputs) != 2 or len(outputs) != 1 or min(*inputs, *outputs) < 0:
        return False
    given, made = _affine(graph, inputs[0], _BYTES), _affine(graph, outputs[0], _BYTES)
    types = [graph.tensors[index].type for index in (inputs[0], outputs[0])]
    return given is not None and given == made and types[0] == types[1]


def _affine(
    graph: Any, index: int, types: Mapping[int, tuple[int, int]] | None = None
) -> tuple[np.float32, int] | None:
    """Scale and zero point of a tensor of int8, or of one of these types with all their codes.

    None where they are none that a runtime takes.
    """
    tensor = graph.tensors[index]
    low, high = ({schema.TensorType.INT8: _FULL} if types is None else types).get(
        tensor.type, (1, 0)
    )
    given = tensor.quantization
    scales = [] if given is None or given.scale is None else list(given.scale)
    zeros = [] if given is None or given.zeroPoint is None else list(given.zeroPoint)
    if len(scales) != 1 or len(zeros) > 1:
        return None
    scale, zero = np.float32(scales[0]), int(zeros[0]) if zeros else 0
    if not 0 < scale < math.inf or not low <= zero <= high:
        return None
    return scale, zero


def _alike(graph: Any, source: int, output: int) -> bool:
    """Whether a code stands for the same number in both tensors."""
    if source < 0:
        return False
    given = _affine(graph, source)
    return given is not None and given == _affine(graph, output)


def _with_zero(graph: Any, index: int, low: int, high: int) -> tuple[int, int]:
    """The range with the code that padding writes."""
    affine = _affine(graph, index)
    if affine is None:
        raise ValueError(f"tensor {name_of(graph, index)!r} has no scale and zero point of int8")
    return min(low, affine[1]), max(high, affine[1])


def _clipped(graph: Any, output: int, activation: int, known: tuple[int, int]) -> tuple[int, int]:
    """`known` clipped to the codes of a fused activation's limits."""
    affine = _affine(graph, output)
    if activation not in _LIMITS or affine is None:
        return known
    limits = []
    for real in _LIMITS[activation]:
        if math.isinf(real):
            limits.append(127)
            continue
        with np.errstate(over="ignore"):
            steps = float(np.float32(real) / affine[0])
        code = affine[1] + int(math.copysign(math.floor(min(abs(steps), 1e6) + 0.5), steps))
        limits.append(max(-128, min(127, code)))
    low, high = (max(limits[0], min(limits[1], code)) for code in known)
    return low, high


def _sums_constant_codes(
    model: Any, graph: Any, operator: Any, kind: str, written: set[int]
) -> bool:
    """Whether input, weights and output are int8, and all but the input is known beforehand."""
    transposed = kind == "TRANSPOSE_CONV"
    least = 3 if transposed else 2
    inputs = operator.inputs
    if len(inputs) not in (least, least + 1) or min(inputs[:least]) < 0:
        raise ValueError(f"{kind} with inputs {inputs}")
    if len(operator.outputs) != 1 or operator.outputs[0] < 0:
        raise ValueError(f"{kind} with outputs {operator.outputs}")
    source, weights = graph.tensors[inputs[2 if transposed else 0]], inputs[1]
    codes, output = graph.tensors[weights], graph.tensors[operator.outputs[0]]
    if any(tensor.type != schema.TensorType.INT8 for tensor in (source, codes, output)):
        return False
    constants = [weights]
    if transposed:
        constants.append(inputs[0])
        fuses = operator.builtinOptions is not None and option_of(operator, kind, "activation")
        if fuses and model.operatorCodes[operator.opcodeIndex].version < 4:
            return False
    for index in constants:
        tensor = graph.tensors[index]
        if tensor.isVariable or not len(model.buffers[tensor.buffer].data):
            return False
    if weights in written or codes.sparsity is not None:
        return False
    if getattr(operator.builtinOptions, "weightsFormat", 0):
        return False
    biases = [index for index in inputs[least:] if index >= 0]
    if any(graph.tensors[index].type != schema.TensorType.INT32 for index in biases):
        return False
    affine = codes.quantization
    return affine is None or affine.zeroPoint is None or not any(affine.zeroPoint)


def _layer(
    model: Any, graph: Any, operator: Any, kind: str, known: tuple[int, int]
) -> tuple[int, int, list[list[list[int]]], tuple[int, int], int, list[list[int]]]:
    """Range, matrices, taps and MACs of a layer."""
    given = kind_of(model, operator)
    if given not in OURS and not isinstance(operator.builtinOptions, OPTIONS[kind]):
        raise ValueError(f"{kind} {name_of(graph, operator.outputs[0])!r} lacks its options")
    transposed = kind == "TRANSPOSE_CONV"
    source, output = operator.inputs[2 if transposed else 0], operator.outputs[0]
    for index in (source, output):
        if _affine(graph, index) is None:
            raise ValueError(
                f"tensor {name_of(graph, index)!r} has no scale and zero point of int8"
            )
    weights = graph.tensors[operator.inputs[1]]
    shapes = [graph.tensors[source].shape, weights.shape, graph.tensors[output].shape]
    rank = 2 if kind == "FULLY_CONNECTED" else 4
    # A fully connected layer's input may have been exported with an unknown shape.
    known_shapes = shapes[rank == 2 :]
    if len(weights.shape) != rank or any(size < 1 for shape in known_shapes for size in shape):
        raise ValueError(f"{kind} of the shapes {shapes}")
    low, high = known
    if transposed or (kind in _WINDOWED and option_of(operator, given, "padding") == 0):
        low, high = _with_zero(graph, source, low, high)
    codes = np.asarray(model.buffers[weights.buffer].data).view(np.int8).reshape(weights.shape)
    matrices = _matrices(operator, given, codes, shapes[0])
    if transposed:
        # Every input meets every tap of its channel once.
        macs = math.prod(shapes[0]) // shapes[0][-1] * codes.size
        return low, high, matrices, (1, 1), macs, _merged(operator, given, codes, shapes[2])
    taps = codes.shape[1:3] if kind == "DEPTHWISE_CONV_2D" else (1, 1)
    return low, high, matrices, taps, math.prod(shapes[2]) * len(matrices[0][0]), []


def _matrices(operator: Any, given: str, codes: Any, shape: list[int]) -> list[list[list[int]]]:
    """Weight codes as [channels][products] matrices, from a file's tensor for inputs of `shape`."""
    kind = OURS.get(given, given)
    depth = shape[-1] if shape else 1
    if kind == "DEPTHWISE_CONV_2D":
        if len(codes) != 1:
            raise ValueError(f"{kind} with weights of the shape {codes.shape}")
        parts = [np.moveaxis(codes, 3, 0)]
    elif kind == "CONV_2D":
        if depth % codes.shape[3]:
            raise ValueError(f"{kind} of {depth} channels, weights take {codes.shape[3]}")
        parts = np.split(codes, depth // codes.shape[3])
    elif kind == "TRANSPOSE_CONV":
        strides = _strides(operator, given)
        if min(strides) < 1 or depth != codes.shape[3]:
            raise ValueError(f"{kind} of {depth} channels with the strides {strides}")
        parts = phases(codes, strides)
    else:
        parts = [codes]
    return [part.reshape(len(part), -1).astype(int).tolist() for part in parts]


def _merged(operator: Any, given: str, codes: Any, output: list[int]) -> list[list[int]]:
    same = option_of(operator, given, "padding") == 0
    one = merged(codes, _strides(operator, given), (output[1], output[2]), same)
    return one.reshape(len(one), -1).astype(int).tolist() if len(one) else []


def _strides(operator: Any, given: str) -> tuple[int, int]:
    return option_of(operator, given, "stride_h"), option_of(operator, given, "stride_w")
