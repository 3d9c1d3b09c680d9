# SPDX-License-Identifier: Apache-2.0
"""`verify`: an independent check of a file's proof, written from the mathematics alone.

Shares no code with the exporter, `certify` or the kernels. It reads the file by the flatbuffer
schema, derives activation ranges and bounds with exact integers, lane by lane, and compares with
the certificate in the file and with what the kernels planned. Plain on purpose, and slow.

A lane is arithmetic modulo 2^16. For input codes in [lo, hi] the sums of a block of weight codes q
span exactly (hi - lo) * sum |q|, so with a suitable start value the block is safe iff that is at
most 65535 (Xie et al., arXiv 2005.13297; A2Q+, arXiv 2401.10432). VPMADDUBSW adds pairs of products
of u8 and s8 and saturates: (hi - lo) times the pair's positive codes has to be at most 32767, times
its negative ones at most 32768.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from oaq_keras.errors import ModelFileError

_KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
_OURS = {
    "OaqConv2D": "CONV_2D",
    "OaqDepthwiseConv2D": "DEPTHWISE_CONV_2D",
    "OaqFullyConnected": "FULLY_CONNECTED",
    "OaqTransposeConv": "TRANSPOSE_CONV",
}
_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D")
_FULL = (-128, 127)
_MOVERS = frozenset(
    (
        *(
            "MAX_POOL_2D",
            "AVERAGE_POOL_2D",
            "MEAN",
            "RESHAPE",
            "SQUEEZE",
            "EXPAND_DIMS",
            "TRANSPOSE",
        ),
        *("STRIDED_SLICE", "SLICE", "SPLIT", "SPLIT_V", "GATHER", "TILE", "BROADCAST_TO"),
        *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"),
        *("RESIZE_NEAREST_NEIGHBOR", "PAD", "MIRROR_PAD"),
    )
)
_WRITE_ZEROS = frozenset(("PAD", "MIRROR_PAD", "SPACE_TO_BATCH_ND"))
_LIMITS = {1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
_ALONE = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_FUSING = frozenset((*_OURS.values(), "ADD", "SUB", "MUL"))
_PRODUCTS_OF_A_STEP = {"c8": 1, "c4": 2, "channel": 1, "channel_pairs": 2}


@dataclass(frozen=True)
class Bound:
    """What the codes of one layer allow.

    Attributes:
      subgraph, op, name, kind: which layer.
      low, high: the input's activation range, padding included.
      matrices: weight codes, [channels][products] for each group of a grouped convolution and for
        each phase of the stride of a transposed one, else a single matrix.
      taps: height and width of a depthwise filter.
    """

    subgraph: int
    op: int
    name: str
    kind: str
    low: int
    high: int
    matrices: list[list[list[int]]]
    taps: tuple[int, int] = (1, 1)

    @property
    def layouts(self) -> tuple[str, ...]:
        """Lane layouts that kernels use for this kind of layer."""
        return ("channel",) if self.kind == "DEPTHWISE_CONV_2D" else ("c8", "c4")

    def worst_case(self, layout: str, depth: int) -> int:
        """(hi - lo) * largest sum of |q| over blocks of `depth` products of one lane."""
        largest = 0
        for row in self._rows():
            for lane in _lanes(row, layout):
                for start in range(0, len(lane), depth):
                    largest = max(largest, sum(abs(code) for code in lane[start : start + depth]))
        return (self.high - self.low) * largest

    def worst_pair(self) -> int:
        """The larger of (hi - lo) * a c4 pair's positive codes, and the same for negative ones."""
        sums = [sum_ for row in self._rows() for sum_ in _pair_sums(row)]
        return (self.high - self.low) * max(max(sum_) for sum_ in sums)

    def tiles(self, tile_channels: int) -> list[list[list[int]]]:
        """Rows of output channels that share a drain list, tile by tile."""
        return [
            matrix[first : first + tile_channels]
            for matrix in self.matrices
            for first in range(0, len(matrix), tile_channels)
        ]

    def saturates(self, rows: list[list[int]]) -> bool:
        """Whether some pair of neighbours' products may leave int16 in a tile."""
        width = self.high - self.low
        sums = [sum_ for row in rows for sum_ in _pair_sums(row)]
        return any(width * up > 32767 or width * down > 32768 for up, down in sums)

    def drains(self, layout: str, tiles: list[list[list[int]]]) -> tuple[int, int]:
        """Drains of one output position and the shortest block, with blocks as long as is safe.

        Returns:
          The number of drains summed over tiles of output channels, and the smallest number of
          products a lane adds before one of them, the last block of a tile left out unless it is
          the only one.
        """
        total, shortest = 0, None
        step = _PRODUCTS_OF_A_STEP[layout]
        for rows in tiles:
            blocks = self._blocks([lane for row in rows for lane in _lanes(row, layout)], step)
            total += len(blocks)
            inner = min(blocks[:-1] or blocks)
            shortest = inner if shortest is None else min(shortest, inner)
        return total, step * (shortest or 0)

    def _rows(self) -> Iterator[list[int]]:
        for matrix in self.matrices:
            yield from matrix

    def _blocks(self, lanes: list[list[int]], step: int) -> list[int]:
        """Lengths, in steps of so many products a lane, of the longest safe blocks."""
        blocks, sums, length = [], [0] * len(lanes), 0
        for first in range(0, max(len(lane) for lane in lanes), step):
            added = [sum(abs(code) for code in lane[first : first + step]) for lane in lanes]
            grown = [total + new for total, new in zip(sums, added, strict=True)]
            if (self.high - self.low) * max(grown) > 65535:
                blocks.append(length)
                grown, length = added, 0
            sums, length = grown, length + 1
        return [*blocks, length]


def _pair_sums(row: list[int]) -> list[tuple[int, int]]:
    """For each pair of neighbours, the sum of its positive codes and that of its negative ones."""
    pairs = [row[start : start + 2] for start in range(0, len(row), 2)]
    return [
        (sum(code for code in pair if code > 0), -sum(code for code in pair if code < 0))
        for pair in pairs
    ]


def bounds(path: str | Path | bytes) -> list[Bound]:
    """The int8 convolutions and fully connected layers of a file, builtin and Oaq.

    Raises:
      ModelFileError: the file cannot be read as a model.
    """
    model = _read(path)
    found = []
    for position, graph in enumerate(model.subgraphs):
        ranges = _ranges(model, graph)
        for op, operator in enumerate(graph.operators):
            kind = _kind(model, operator)
            kind = _OURS.get(kind, kind)
            if kind not in _OURS.values():
                continue
            transposed = kind == "TRANSPOSE_CONV"
            source = operator.inputs[2 if transposed else 0]
            weights = graph.tensors[operator.inputs[1]]
            output = graph.tensors[operator.outputs[0]]
            tensors = (graph.tensors[source], weights, output)
            data = model.buffers[weights.buffer].data
            if any(tensor.type != schema.TensorType.INT8 for tensor in tensors) or data is None:
                continue
            codes = np.asarray(data).view(np.int8).reshape(weights.shape)
            low, high = ranges[source]
            pads = kind in _WINDOWED and _option(operator, "padding") == 0
            if pads or transposed:
                zero = int(graph.tensors[source].quantization.zeroPoint[0])
                low, high = min(low, zero), max(high, zero)
            name = output.name.decode() if output.name else f"tensor {operator.outputs[0]}"
            matrices = _matrices(kind, operator, codes, graph.tensors[source].shape[-1])
            taps = codes.shape[1:3] if kind == "DEPTHWISE_CONV_2D" else (1, 1)
            found.append(Bound(position, op, name, kind, low, high, matrices, taps))
    return found


def verify(path: str | Path | bytes, plans: Mapping[str, Iterable[Any]] | None = None) -> list[str]:
    """Compares a file's certificate, and plans, with what its codes say.

    Args:
      path: a .tflite file.
      plans: entries of `Interpreter.plan()` made with plan="int16", as objects or dictionaries, by
        what to call them: their ISA.

    Returns:
      What does not agree, a sentence each; empty where all does.

    Raises:
      ModelFileError: the file cannot be read as a model, or its certificate is no JSON.
    """
    layers = bounds(path)
    problems = list(_check_certificate(_certificate(_read(path)), layers))
    for isa, plan in (plans or {}).items():
        disagreements = _check_plan(plan, [layer for layer in layers if layer.subgraph == 0])
        problems += [f"{isa}: {disagreement}" for disagreement in disagreements]
    return problems


def _check_certificate(certificate: Any, layers: list[Bound]) -> Iterator[str]:
    if certificate is None:
        return
    claims = {(claim["subgraph"], claim["op"]): claim for claim in certificate["layers"]}
    if set(claims) != {(layer.subgraph, layer.op) for layer in layers}:
        yield f"the certificate has {len(claims)} layers, the file has {len(layers)} others"
        return
    limit = 2 ** certificate["accumulator_bits"] - 1
    for layer in layers:
        claim = claims[layer.subgraph, layer.op]
        if list(claim["input_range"]) != [layer.low, layer.high]:
            yield f"{layer.name}: range {claim['input_range']}, found {[layer.low, layer.high]}"
        proven = True
        for layout in layer.layouts:
            if layout not in certificate["target"]:
                continue
            depth = claim["depth"] + (claim["depth"] % 2 if layout == "c4" else 0)
            worst = layer.worst_case(layout, depth)
            stated = claim["layouts"][layout]
            if stated["worst_case"] != worst:
                yield f"{layer.name}: {layout} worst case {stated['worst_case']}, found {worst}"
            proven = proven and worst <= limit
            if layout == "c4":
                pair = layer.worst_pair()
                if stated["pair_worst_case"] != pair:
                    yield f"{layer.name}: pair {stated['pair_worst_case']}, found {pair}"
                proven = proven and pair <= 32767
        if claim["proven"] and not proven:
            yield f"{layer.name}: the certificate says proven, the codes do not fit"


def _check_plan(plan: Any, layers: list[Bound]) -> Iterator[str]:
    entries = {}
    for entry in plan:
        fields = entry if isinstance(entry, dict) else vars(entry)
        entries[fields["op"]] = fields
    for layer in layers:
        entry = entries.get(layer.op)
        if entry is None or entry["runs"] != "int16":
            continue
        if list(entry["range"]) != [layer.low, layer.high]:
            yield f"{layer.name}: the plan has range {entry['range']}"
        tiles = layer.tiles(entry["tile_channels"])
        if entry["tiles"] != len(tiles):
            yield f"{layer.name}: the plan has {entry['tiles']} tiles, found {len(tiles)}"
            continue
        if entry["layout"] == "channel_pairs":
            order = _pairs_of_taps(*layer.taps)
            tiles = [[[row[tap] for tap in order] for row in rows] for rows in tiles]
        if _PRODUCTS_OF_A_STEP[entry["layout"]] == 2:
            tiles = [rows for rows in tiles if not layer.saturates(rows)]
        drains, depth = layer.drains(entry["layout"], tiles)
        planned = (entry["tiles_int16"], entry["drains"], entry["depth"])
        if planned != (len(tiles), drains, depth):
            yield (
                f"{layer.name}: the plan drains {planned[0]} tiles {planned[1]} times at T = "
                f"{planned[2]}, found {len(tiles)}, {drains} and {depth}"
            )


def _matrices(kind: str, operator: Any, codes: Any, depth: int) -> list[list[list[int]]]:
    """Weight codes as [channels][products] matrices, from a file's tensor for `depth` channels."""
    if kind == "DEPTHWISE_CONV_2D":
        parts = [np.moveaxis(codes, 3, 0)]
    elif kind == "CONV_2D":
        parts = np.split(codes, depth // codes.shape[3])
    elif kind == "TRANSPOSE_CONV":
        # An output at position p meets the taps t with (p + padding - t) divisible by the stride.
        down, right = _option(operator, "stride_h"), _option(operator, "stride_w")
        parts = [
            codes[:, [t for t in range(codes.shape[1]) if t % down == row]][
                :, :, [t for t in range(codes.shape[2]) if t % right == column]
            ]
            for row in range(down)
            for column in range(right)
        ]
    else:
        parts = [codes]
    return [p.reshape(len(p), -1).astype(int).tolist() for p in parts if p.size]


def _pairs_of_taps(height: int, width: int) -> list[int]:
    """Taps of a depthwise filter, row by row in the file, as a lane adds two of them a step.

    Rows 0 and 1 in pairs from column to column, then rows 2 and 3; an odd last row by itself.
    """
    return [
        row * width + column
        for top in range(0, height, 2)
        for column in range(width)
        for row in range(top, min(top + 2, height))
    ]


def _lanes(row: list[int], layout: str) -> list[list[int]]:
    """The products of one output channel by lane, in the order in which each lane adds them."""
    if layout in ("channel", "channel_pairs"):
        return [row]
    if layout == "c8":
        return [row[lane::8] for lane in range(8) if lane < len(row)]
    even = [code for k, code in enumerate(row) if k % 4 in (0, 1)]
    odd = [code for k, code in enumerate(row) if k % 4 in (2, 3)]
    return [even, odd] if odd else [even]


def _read(path: str | Path | bytes) -> Any:
    try:
        data = path if isinstance(path, bytes) else Path(path).read_bytes()
        if data[4:8] != b"TFL3":
            raise ValueError("it lacks the TFL3 identifier")
        return schema.ModelT.InitFromPackedBuf(data, 0)
    except Exception as error:  # the generated reader raises whatever a wild offset leads to
        raise ModelFileError(f"not a TFLite model: {error}; pass a .tflite file") from error


def _certificate(model: Any) -> Any:
    for entry in model.metadata or ():
        if entry.name == b"oaq_certificate":
            try:
                return json.loads(bytes(model.buffers[entry.buffer].data))
            except ValueError as error:
                raise ModelFileError(f"the certificate is no JSON: {error}") from error
    return None


def _kind(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return str((code.customCode or b"").decode("utf-8", "replace"))
    return str(_KINDS.get(builtin, builtin))


def _option(operator: Any, name: str) -> int:
    """An option of a builtin operator, or of an Oaq one, by the latter's name for it."""
    if operator.customOptions is not None and len(operator.customOptions):
        root = flexbuffers.Loads(bytes(operator.customOptions))
        return int(root[name])
    builtin_names = {
        "activation": "fusedActivationFunction",
        "stride_h": "strideH",
        "stride_w": "strideW",
    }
    field = builtin_names.get(name, name)
    return int(getattr(operator.builtinOptions, field, 0) or 0)


def _ranges(model: Any, graph: Any) -> list[tuple[int, int]]:
    ranges = [_FULL] * len(graph.tensors)
    sure = _written_once(model, graph)
    for index in sure:
        data = model.buffers[graph.tensors[index].buffer].data
        if data is not None and len(data) and graph.tensors[index].type == schema.TensorType.INT8:
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
        data = model.buffers[tensor.buffer].data
        count[index] += bool((data is not None and len(data)) or tensor.isVariable)
    for index in graph.inputs:
        count[index] += 1
    early = set()
    for operator in graph.operators:
        early |= {index for index in operator.inputs if index >= 0 and not count[index]}
        for index in operator.outputs:
            count[index] += 1
    return {index for index, writers in enumerate(count) if writers == 1} - early


def _written(
    model: Any, graph: Any, operator: Any, output: int, ranges: list[tuple[int, int]]
) -> tuple[int, int]:
    kind = _kind(model, operator)
    inputs = [index for index in operator.inputs if index >= 0]
    if kind in _OURS:
        low, high = _clipped(graph, output, _option(operator, "activation"), _FULL)
        limits = _option(operator, "output_lo"), _option(operator, "output_hi")
        return max(low, min(limits[0], high)), min(high, max(limits[1], low))
    if kind == "TRANSPOSE_CONV" and model.operatorCodes[operator.opcodeIndex].version < 4:
        return _FULL  # the fused activation came with version 4
    if kind in _FUSING:
        return _clipped(graph, output, _option(operator, "activation"), _FULL)
    if kind in _ALONE:
        return _clipped(graph, output, _ALONE[kind], _FULL)
    if kind in _MOVERS:
        source = inputs[1] if kind == "SPLIT" else inputs[0]
        if not _alike(graph, source, output):
            return _clipped(graph, output, _option(operator, "activation"), _FULL)
        low, high = ranges[source]
        if kind in _WRITE_ZEROS:
            zero = int(graph.tensors[output].quantization.zeroPoint[0])
            low, high = min(low, zero), max(high, zero)
        return _clipped(graph, output, _option(operator, "activation"), (low, high))
    united = kind in ("CONCATENATION", "PACK", "MINIMUM", "MAXIMUM")
    if united and all(_alike(graph, index, output) for index in inputs):
        lows, highs = [ranges[i][0] for i in inputs], [ranges[i][1] for i in inputs]
        low = max(lows) if kind == "MAXIMUM" else min(lows)
        return low, min(highs) if kind == "MINIMUM" else max(highs)
    return _FULL


def _alike(graph: Any, source: int, output: int) -> bool:
    """Whether a code stands for the same number in both tensors."""
    given = []
    for index in (source, output):
        tensor = graph.tensors[index]
        affine = tensor.quantization
        if tensor.type != schema.TensorType.INT8 or affine is None or affine.scale is None:
            return False
        if len(affine.scale) != 1:
            return False
        given.append((float(affine.scale[0]), int(affine.zeroPoint[0])))
    return given[0] == given[1]


def _clipped(graph: Any, output: int, activation: int, known: tuple[int, int]) -> tuple[int, int]:
    """`known` clipped to the codes of a fused activation's limits."""
    affine = graph.tensors[output].quantization
    if activation not in _LIMITS or affine is None or affine.scale is None:
        return known
    scale, zero = np.float32(affine.scale[0]), int(affine.zeroPoint[0])
    limits = []
    for real in _LIMITS[activation]:
        if math.isinf(real):
            limits.append(127)
            continue
        steps = float(np.float32(real) / scale)
        code = zero + int(math.copysign(math.floor(abs(steps) + 0.5), steps))
        limits.append(max(-128, min(127, code)))
    low, high = (max(limits[0], min(limits[1], code)) for code in known)
    return low, high
