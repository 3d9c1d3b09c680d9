# SPDX-License-Identifier: Apache-2.0
"""How `verify` reads a file: by the flatbuffer schema, indices checked, options decoded.

Shares no code with the exporter, `certify` or the kernels. A file may be anybody's: what is wrong
with it is a ModelFileError.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from oaq_keras.errors import ModelFileError
from oaq_keras.tflite_schema import schema

OURS = {
    "OaqConv2D": "CONV_2D",
    "OaqDepthwiseConv2D": "DEPTHWISE_CONV_2D",
    "OaqFullyConnected": "FULLY_CONNECTED",
    "OaqTransposeConv": "TRANSPOSE_CONV",
}
POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D")
_KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
# More than any Oaq operator's options take.
_OPTION_BYTES, _OPTION_ENTRIES = 4096, 32
OPTIONS = {
    "CONV_2D": schema.Conv2DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
    "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
    **dict.fromkeys(POOLS, schema.Pool2DOptionsT),
}
_BUILTIN_NAMES = {
    "activation": "fusedActivationFunction",
    "stride_h": "strideH",
    "stride_w": "strideW",
}


def read(path: str | Path | bytes) -> Any:
    """The schema's object of a file, its indices in range.

    Raises:
      ModelFileError: the file cannot be read as a model.
    """
    try:
        data = path if isinstance(path, bytes) else Path(path).read_bytes()
        if data[4:8] != b"TFL3":
            raise ValueError("it lacks the TFL3 identifier")
        _refuse_shared_tables(data)
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        _fill_in(model)
        _check_indices(model)
    except Exception as error:  # the generated reader raises whatever a wild offset leads to
        raise ModelFileError(f"not a TFLite model: {error}; pass a .tflite file") from error
    return model


def certificate_of(model: Any) -> Any:
    """The JSON value of a model's certificate, None where there is none.

    Raises:
      ModelFileError: it is no JSON.
    """
    for entry in model.metadata:
        if entry.name == b"oaq_certificate":
            try:
                text = bytes(model.buffers[entry.buffer].data).decode("utf-8")
                return json.loads(text, object_pairs_hook=_unique)
            except (ValueError, RecursionError) as error:
                raise ModelFileError(
                    f"the certificate is no JSON: {error}; certify the model again"
                ) from error
    return None


def _refuse_shared_tables(data: bytes) -> None:
    """A table in a vector takes 4 bytes there, unless thousands of vectors are one and the same."""
    model, tables = schema.Model.GetRootAs(data, 0), 0
    for count in _table_counts(model):
        tables += count
        if 4 * tables > len(data):
            raise ValueError(f"more than {tables} tables in {len(data)} bytes")


def _table_counts(model: Any) -> Iterator[int]:
    yield model.BuffersLength() + model.OperatorCodesLength() + model.MetadataLength()
    yield model.SubgraphsLength() + model.SignatureDefsLength()
    for i in range(model.SignatureDefsLength()):
        yield model.SignatureDefs(i).InputsLength() + model.SignatureDefs(i).OutputsLength()
    for i in range(model.SubgraphsLength()):
        graph = model.Subgraphs(i)
        yield graph.TensorsLength() + graph.OperatorsLength()
        for j in range(graph.TensorsLength()):
            sparsity = graph.Tensors(j).Sparsity()
            yield graph.Tensors(j).VariantTensorsLength()
            yield 0 if sparsity is None else sparsity.DimMetadataLength()
        for j in range(graph.OperatorsLength()):
            operator = graph.Operators(j)
            yield operator.InputsLength() + operator.OutputsLength()


def _fill_in(model: Any) -> None:
    """Vectors that the file leaves out hold nothing."""
    for name in ("buffers", "operatorCodes", "metadata", "subgraphs"):
        setattr(model, name, getattr(model, name) or [])
    for buffer in model.buffers:
        buffer.data = np.zeros(0, np.uint8) if buffer.data is None else buffer.data
    for graph in model.subgraphs:
        graph.tensors, graph.operators = graph.tensors or [], graph.operators or []
        for owner in (graph, *graph.operators):
            owner.inputs = [] if owner.inputs is None else [int(i) for i in owner.inputs]
            owner.outputs = [] if owner.outputs is None else [int(i) for i in owner.outputs]
        for tensor in graph.tensors:
            tensor.shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]


def _check_indices(model: Any) -> None:
    if not model.subgraphs:
        raise ValueError("it has no subgraph")
    if any(buffer.offset or buffer.size for buffer in model.buffers):
        raise ValueError("a buffer lies outside of it")
    used = [entry.buffer for entry in model.metadata]
    used += [tensor.buffer for graph in model.subgraphs for tensor in graph.tensors]
    if any(buffer >= len(model.buffers) for buffer in used):
        raise ValueError(f"it has {len(model.buffers)} buffers and uses others")
    for graph in model.subgraphs:
        numbers = range(len(graph.tensors))
        if any(index not in numbers for index in (*graph.inputs, *graph.outputs)):
            raise ValueError(f"a subgraph has {len(numbers)} tensors and uses others")
        for operator in graph.operators:
            if operator.opcodeIndex >= len(model.operatorCodes):
                raise ValueError(f"it has {len(model.operatorCodes)} operator codes, uses others")
            for index in (*operator.inputs, *operator.outputs):
                if index != -1 and index not in numbers:
                    raise ValueError(f"a subgraph has {len(numbers)} tensors and uses others")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key appears twice")
    return dict(pairs)


def kind_of(model: Any, operator: Any) -> str:
    """A builtin operator's name in the schema, a custom one's in the file."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return str((code.customCode or b"").decode("utf-8", "replace"))
    return str(_KINDS.get(builtin, builtin))


def name_of(graph: Any, index: int) -> str:
    """A tensor's name, or its number where it has none."""
    name = graph.tensors[index].name
    return name.decode("utf-8", "replace") if name else f"tensor {index}"


def option_of(operator: Any, kind: str, name: str) -> int:
    """An option of a builtin operator, or of an Oaq one, by the latter's name for it.

    A builtin operator's options of another operator's type are none to the runtime.
    """
    if kind in OURS:
        return _custom_options(operator)[name]
    if not isinstance(operator.builtinOptions, OPTIONS.get(kind, ())):
        return 0
    return int(getattr(operator.builtinOptions, _BUILTIN_NAMES.get(name, name)))


def _custom_options(operator: Any) -> dict[str, int]:
    """Not `flexbuffers.Loads`: it reads a nested vector as often as others name it."""
    given = operator.customOptions
    if given is None or not 0 < len(given) <= _OPTION_BYTES:
        raise ValueError(f"custom options of {0 if given is None else len(given)} bytes")
    table = flexbuffers.GetRoot(bytes(given)).AsMap
    keys, values = table.Keys, table.Values
    if len(table) > _OPTION_ENTRIES:
        raise ValueError(f"{len(table)} custom options")
    options: dict[str, int] = {}
    for position in range(len(table)):
        name, value = keys[position].AsKey, values[position]
        if name in options or not value.IsInt:
            raise ValueError(f"custom option {name!r} is there twice, or no integer")
        options[name] = int(value.AsInt)
    return options
