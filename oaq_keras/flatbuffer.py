# SPDX-License-Identifier: Apache-2.0
"""Read, check and write .tflite files through the schema's object API.

A model that `read_model` returned has lists where the schema has vectors, and indices that point
somewhere, so no other module has to doubt them. Whether the numbers make sense is for the accessors
here to say, each naming the tensor it refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from oaq_keras.errors import ModelFileError
from oaq_keras.model_file import IDENTIFIER, Source, check_identifier, load_bytes
from oaq_keras.tflite_schema import schema

# Objects of the generated schema code; it carries no types.
Model = Any
Graph = Any
Operator = Any
Tensor = Any

# LiteRT's CompiledModel wants constants at multiples of 64, and no SIMD load crosses a cache line.
ALIGNMENT = 64

_KIND_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPE_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
_DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT32: np.dtype("<i4"),
}


def read_model(source: Source) -> Model:
    """Parse a model and check its structure.

    Args:
      source: bytes or a path.

    Returns:
      The schema's `ModelT`, with every vector a list (or array) and every index in range.

    Raises:
      ModelFileError: the file cannot be read, is truncated, or is not a TFLite model.
    """
    data = load_bytes(source)
    check_identifier(data)
    try:
        _check_size(data)
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        _fill_in(model)
    except ModelFileError:
        raise
    except Exception as error:  # the generated reader raises whatever a wild offset leads to
        raise ModelFileError(
            f"the model is damaged or truncated ({type(error).__name__}: {error}); "
            "fetch or export it again"
        ) from error
    _check_indices(model)
    return model


def write_model(model: Model) -> bytes:
    """Serialise a model with its constants aligned to `ALIGNMENT` bytes."""
    builder = flatbuffers.Builder(1024)
    originals = model.buffers
    model.buffers = [_AlignedBuffer.of(buffer) for buffer in originals]
    try:
        builder.Finish(model.Pack(builder), IDENTIFIER)
    finally:
        model.buffers = originals
    return bytes(builder.Output())


def text(value: bytes | str | None) -> str:
    """A schema string, which the generated code hands over as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def tensor_name(graph: Graph, index: int) -> str:
    """A tensor's name for messages and certificates, also where the file gives it none."""
    return text(graph.tensors[index].name) or f"tensor {index}"


def kind(model: Model, operator: Operator) -> str:
    """`CONV_2D` and so on for a builtin, the registered name for a custom operator."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = builtin_code(code)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return text(code.customCode) or "CUSTOM"
    return _KIND_NAMES.get(builtin, f"operator {builtin}")


def builtin_code(code: Any) -> int:
    """An operator code's builtin: files older than schema 3a use the deprecated byte alone."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def type_name(tensor: Tensor) -> str:
    """`INT8`, `FLOAT32` and so on."""
    return _TYPE_NAMES.get(tensor.type, f"type {tensor.type}")


def is_int8(tensor: Tensor) -> bool:
    """Whether the tensor holds int8 codes."""
    return bool(tensor.type == schema.TensorType.INT8)


def shape(graph: Graph, index: int, rank: int | None = None) -> tuple[int, ...]:
    """A tensor's shape, every dimension at least 1.

    Raises:
      ModelFileError: naming the tensor, where that does not hold or the rank is not `rank`.
    """
    dimensions = tuple(int(n) for n in graph.tensors[index].shape)
    if any(n < 1 for n in dimensions) or (rank is not None and len(dimensions) != rank):
        expected = "dimensions of 1 or more" if rank is None else f"{rank} dimensions of 1 or more"
        raise ModelFileError(
            f"tensor {tensor_name(graph, index)!r} has shape {list(dimensions)}, expected "
            f"{expected}; the file is damaged or was exported with an unknown shape"
        )
    return dimensions


def is_constant(model: Model, graph: Graph, index: int) -> bool:
    """Whether the file holds the tensor's data, and no operator is allowed to change it."""
    tensor = graph.tensors[index]
    return not tensor.isVariable and len(model.buffers[tensor.buffer].data) > 0


def constant(model: Model, graph: Graph, index: int) -> NDArray[Any]:
    """The codes of a constant int8 or int32 tensor, in its shape.

    Raises:
      ModelFileError: naming the tensor, where it is not constant, is of another type, is stored
        sparsely, or has more or fewer bytes than its shape says.
    """
    tensor = graph.tensors[index]
    name = tensor_name(graph, index)
    dtype = _DTYPES.get(tensor.type)
    if dtype is None:
        raise ModelFileError(f"tensor {name!r} is {type_name(tensor)}, expected INT8 or INT32")
    if tensor.sparsity is not None:
        raise ModelFileError(f"tensor {name!r} is stored sparsely; export it dense")
    data = model.buffers[tensor.buffer].data
    dimensions = shape(graph, index)
    expected = dtype.itemsize
    for n in dimensions:
        expected *= n
    if len(data) != expected:
        raise ModelFileError(
            f"tensor {name!r} of shape {list(dimensions)} needs {expected} bytes, its buffer has "
            f"{len(data)}; the file is damaged"
        )
    codes: NDArray[Any] = np.frombuffer(bytes(data), dtype).reshape(dimensions)
    return codes


@dataclass(frozen=True)
class Quantization:
    """Affine quantization of a tensor: real = scale * (code - zero_point).

    Attributes:
      scale: [1] or [channels] float32, finite and positive.
      zero_point: [1] or [channels] int64, codes of the tensor's type.
      axis: the dimension that channels lie on; meaningful where there is more than one.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int

    def same_codes(self, other: Quantization) -> bool:
        """Whether a code means the same real number under both; per-tensor only."""
        return bool(
            self.scale.size == other.scale.size == 1
            and self.scale[0] == other.scale[0]
            and self.zero_point[0] == other.zero_point[0]
        )


def quantization(graph: Graph, index: int, channels: int = 1) -> Quantization:
    """An int8 or int32 tensor's quantization, checked.

    Args:
      graph: the subgraph.
      index: the tensor's.
      channels: the number of scales allowed beside 1.

    Raises:
      ModelFileError: naming the tensor: no scale, not 1 nor `channels` of them, one that is not
        finite and positive, or a zero point that is no int8 code.
    """
    tensor = graph.tensors[index]
    name = tensor_name(graph, index)
    given = tensor.quantization
    scale = np.atleast_1d(np.asarray(_entries(given, "scale"), np.float32))
    zero_point = np.atleast_1d(np.asarray(_entries(given, "zeroPoint"), np.int64))
    if scale.size not in (1, channels):
        allowed = "1" if channels == 1 else f"1 or {channels}"
        raise ModelFileError(
            f"tensor {name!r} has {scale.size} quantization scales, expected {allowed}; "
            "quantize the model again"
        )
    if zero_point.size == 0:
        zero_point = np.zeros(1, np.int64)
    if zero_point.size not in (1, scale.size):
        raise ModelFileError(
            f"tensor {name!r} has {zero_point.size} zero points for {scale.size} scales"
        )
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        worst = scale[~(np.isfinite(scale) & (scale > 0))][0]
        raise ModelFileError(
            f"tensor {name!r} has the quantization scale {worst}; scales are finite and positive"
        )
    if is_int8(tensor) and ((zero_point < -128) | (zero_point > 127)).any():
        raise ModelFileError(
            f"tensor {name!r} has the zero point {int(zero_point[abs(zero_point).argmax()])}, "
            "which is no int8 code (-128 to 127)"
        )
    return Quantization(scale, zero_point, int(given.quantizedDimension))


def get_metadata(model: Model, name: str) -> bytes | None:
    """The metadata buffer called `name`, None where there is none."""
    for entry in model.metadata:
        if text(entry.name) == name:
            return bytes(model.buffers[entry.buffer].data)
    return None


def set_metadata(model: Model, name: str, data: bytes) -> None:
    """Add or replace the metadata buffer called `name`."""
    entry = next((entry for entry in model.metadata if text(entry.name) == name), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, 0
        model.metadata.append(entry)
    users = [tensor.buffer for graph in model.subgraphs for tensor in graph.tensors]
    users += [other.buffer for other in model.metadata]
    # Equal contents may share a buffer, and buffer 0 stands for no data.
    if entry.buffer == 0 or users.count(entry.buffer) > 1:
        entry.buffer = len(model.buffers)
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(data, np.uint8)


def remove_metadata(model: Model, name: str) -> None:
    """Remove the metadata called `name` where there is any."""
    model.metadata = [entry for entry in model.metadata if text(entry.name) != name]


def drop_unused_buffers(model: Model) -> None:
    """Remove the data that no tensor and no metadata refers to; buffer 0 stays, the empty one."""
    owners = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    owners += model.metadata
    used = sorted({0, *(int(owner.buffer) for owner in owners)})
    place = {old: new for new, old in enumerate(used)}
    for owner in owners:
        owner.buffer = place[int(owner.buffer)]
    model.buffers = [model.buffers[index] for index in used]


def _entries(given: Any, field: str) -> Any:
    value = None if given is None else getattr(given, field)
    return () if value is None else value


class _AlignedBuffer(schema.BufferT):
    """A buffer whose data the builder aligns; the generated code leaves 4-byte alignment."""

    @classmethod
    def of(cls, buffer: Any) -> _AlignedBuffer:
        aligned = cls()
        # A vector of no bytes would make runtimes take the tensor for a constant: leave it out.
        aligned.data = buffer.data if len(buffer.data) else None
        aligned.offset, aligned.size = buffer.offset, buffer.size
        return aligned

    def Pack(self, builder: Any) -> int:  # noqa: N802, the generated code's name
        if self.data is not None:
            builder.Prep(ALIGNMENT, len(self.data))
        return int(super().Pack(builder))


def _fill_in(model: Model) -> None:
    """Turn absent vectors into empty ones."""
    for owner, fields in (
        (model, ("operatorCodes", "subgraphs", "buffers", "metadata", "signatureDefs")),
        *((graph, ("tensors", "operators")) for graph in model.subgraphs or ()),
    ):
        for field in fields:
            if getattr(owner, field) is None:
                setattr(owner, field, [])
    empty = np.zeros(0, np.int32)
    for graph in model.subgraphs:
        owners = ((graph, ("inputs", "outputs")), *((t, ("shape",)) for t in graph.tensors))
        for owner, fields in (*owners, *((o, ("inputs", "outputs")) for o in graph.operators)):
            for field in fields:
                if getattr(owner, field) is None:
                    setattr(owner, field, empty)
    for buffer in model.buffers:
        if buffer.data is None:
            buffer.data = np.zeros(0, np.uint8)


def _check_size(data: bytes) -> None:
    """Refuse files whose vectors overlap so that reading them would take for ever.

    Every entry of a table vector takes 4 bytes of its own in an honest file. A crafted one may have
    thousands of entries share one subgraph with thousands of entries of its own.
    """
    entries = sum(_vector_lengths(schema.Model.GetRootAs(data, 0), len(data)))
    if entries > len(data) // 4:
        raise ModelFileError(
            f"the model lists {entries} tables in {len(data)} bytes; it is damaged or crafted"
        )


def _vector_lengths(model: Any, size: int) -> Iterator[int]:
    subgraphs = model.SubgraphsLength()
    yield subgraphs
    yield model.OperatorCodesLength() + model.BuffersLength() + model.MetadataLength()
    yield model.SignatureDefsLength() + getattr(model, "ExternalBuffersLength", int)()
    if subgraphs > size // 4:
        return  # already too many
    for i in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(i)
        yield signature.InputsLength() + signature.OutputsLength()
    total = 0
    for i in range(subgraphs):
        graph = model.Subgraphs(i)
        tensors, operators = graph.TensorsLength(), graph.OperatorsLength()
        total += tensors + operators
        yield tensors + operators
        if total > size // 4:
            return
        for j in range(tensors):
            tensor = graph.Tensors(j)
            yield tensor.VariantTensorsLength()
            if (sparsity := tensor.Sparsity()) is not None:
                yield sparsity.DimMetadataLength()


def _check_indices(model: Model) -> None:
    if not model.subgraphs:
        raise ModelFileError("the model has no subgraph; it is damaged, export it again")
    # The schema of ai-edge-litert 2.0 knows no external buffers yet.
    if getattr(model, "externalBuffers", None):
        raise ModelFileError("the model keeps constants in other files; export it as one file")
    for i, buffer in enumerate(model.buffers):
        if buffer.offset or buffer.size:
            raise ModelFileError(
                f"buffer {i} lies outside the flatbuffer (offset {buffer.offset}); files over 2 GB "
                "are not supported"
            )
    for entry in model.metadata:
        _check_index(entry.buffer, model.buffers, f"metadata {text(entry.name)!r}", "buffer")
    for graph in model.subgraphs:
        _check_graph(model, graph)


def _check_graph(model: Model, graph: Graph) -> None:
    for i, tensor in enumerate(graph.tensors):
        _check_index(tensor.buffer, model.buffers, f"tensor {tensor_name(graph, i)!r}", "buffer")
    for indices, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        for index in indices:
            _check_index(index, graph.tensors, f"the subgraph's list of {what}s", "tensor")
    for i, operator in enumerate(graph.operators):
        _check_index(operator.opcodeIndex, model.operatorCodes, f"operator {i}", "operator code")
        if operator.largeCustomOptionsOffset or operator.largeCustomOptionsSize:
            raise ModelFileError(
                f"operator {i} has options outside the flatbuffer; files over 2 GB are not "
                "supported"
            )
        for index in (*operator.inputs, *operator.outputs):
            if index != -1:
                _check_index(index, graph.tensors, f"operator {i}", "tensor")


def _check_index(index: int, among: list[Any], owner: str, what: str) -> None:
    if not 0 <= index < len(among):
        raise ModelFileError(
            f"{owner} refers to {what} {index}, the file has {len(among)}; it is damaged"
        )
