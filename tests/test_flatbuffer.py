# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from oaq_keras.certification import certify
from oaq_keras.errors import ModelFileError, OaqError
from oaq_keras.flatbuffer import (
    ALIGNMENT,
    constant,
    get_metadata,
    quantization,
    read_model,
    set_metadata,
    shape,
    write_model,
)
from oaq_keras.rewrite import to_custom_ops
from tests.models import ModelBuilder, random_codes, small_network

# Tensors of `one_conv`.
INPUT, OUTPUT, WEIGHTS, BIAS = range(4)


def one_conv() -> ModelBuilder:
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 3))
    builder.conv(x, random_codes(np.random.default_rng(1), 5, 3, 3, 3))
    return builder


def test_written_constants_are_aligned() -> None:
    data = write_model(read_model(small_network()))
    model = schema.Model.GetRootAs(data, 0)
    aligned = 0
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            field = buffer._tab.Offset(4)
            assert buffer._tab.Vector(field) % ALIGNMENT == 0
            aligned += 1
    assert aligned == 10


def test_reading_and_writing_keeps_every_field() -> None:
    first = write_model(read_model(small_network()))
    assert write_model(read_model(first)) == first


def test_read_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(small_network())
    assert len(read_model(path).subgraphs) == len(read_model(str(path)).subgraphs) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "not a TFLite model"),
        (b"hello, world", "not a TFLite model"),
        ("no/such/file.tflite", "cannot be read"),
        (".", "cannot be read"),
        ("nul\0byte", "cannot be read"),
        (3, "given as int"),
        (b"\x10\0\0\0TFL3", "damaged"),
        (b"\xff\xff\xff\xffTFL3" + bytes(100), "damaged"),
    ],
)
def test_what_is_no_model_is_refused(source: object, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_model(source)  # type: ignore[arg-type]


def exercise(data: bytes) -> None:
    """Everything that reads a file: a result or an OaqError, nothing else."""
    for use in (certify, to_custom_ops):
        with suppress(OaqError):
            use(data)


def test_truncated_files_raise_our_errors_only() -> None:
    data = to_custom_ops(small_network())
    for length in range(0, len(data), 41):
        exercise(data[:length])


@pytest.mark.parametrize("custom", [False, True])
def test_flipped_bytes_raise_our_errors_only(custom: bool) -> None:
    data = to_custom_ops(small_network()) if custom else small_network()
    rng = np.random.default_rng(7)
    for _ in range(150):
        broken = bytearray(data)
        for position in rng.integers(8, len(data), rng.integers(1, 4)):
            broken[position] = rng.integers(256)
        exercise(bytes(broken))


def test_vectors_that_overlap_do_not_hang() -> None:
    """A thousand subgraphs that are all the same one, of a thousand operators."""
    builder = one_conv()
    builder.graph.operators = builder.graph.operators * 1000
    data = builder.build()
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    packer = flatbuffers.Builder(0)
    subgraph = model.subgraphs[0].Pack(packer)
    schema.ModelStartSubgraphsVector(packer, 1000)
    for _ in range(1000):
        packer.PrependUOffsetTRelative(subgraph)
    vector = packer.EndVector()
    schema.ModelStart(packer)
    schema.ModelAddSubgraphs(packer, vector)
    packer.Finish(schema.ModelEnd(packer), b"TFL3")
    with pytest.raises(ModelFileError, match="damaged or crafted"):
        read_model(bytes(packer.Output()))


def _no_subgraph(builder: ModelBuilder) -> None:
    builder.model.subgraphs = []


def _tensor_index(builder: ModelBuilder) -> None:
    builder.graph.operators[0].inputs[0] = 99


def _negative_index(builder: ModelBuilder) -> None:
    builder.graph.operators[0].inputs[0] = -5


def _buffer_index(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].buffer = 77


def _operator_code(builder: ModelBuilder) -> None:
    builder.graph.operators[0].opcodeIndex = 6


def _outside(builder: ModelBuilder) -> None:
    builder.model.buffers[1].offset, builder.model.buffers[1].size = 4096, 16


def _no_channels(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].shape = [0, 3, 3, 3]


def _negative(builder: ModelBuilder) -> None:
    builder.graph.tensors[OUTPUT].shape = [1, 2, 2, -5]


def _rank(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].shape = [5, 27]


def _short_weights(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].shape = [5, 3, 3, 2000]


def _scale(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].quantization.scale[2] = np.nan


def _scales(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].quantization.scale = np.ones(4, np.float32)


def _no_scale(builder: ModelBuilder) -> None:
    builder.graph.tensors[INPUT].quantization = None


def _zero_point(builder: ModelBuilder) -> None:
    builder.graph.tensors[INPUT].quantization.zeroPoint = np.array([300])


def _axis(builder: ModelBuilder) -> None:
    builder.graph.tensors[WEIGHTS].quantization.quantizedDimension = 3


def _no_options(builder: ModelBuilder) -> None:
    builder.graph.operators[0].builtinOptions = None
    builder.graph.operators[0].builtinOptionsType = 0


def _stride(builder: ModelBuilder) -> None:
    builder.graph.operators[0].builtinOptions.strideH = 0


def _groups(builder: ModelBuilder) -> None:
    builder.graph.tensors[INPUT].shape = [1, 4, 4, 4]


def _bias(builder: ModelBuilder) -> None:
    builder.graph.tensors[BIAS].shape = [4]


def _inputs(builder: ModelBuilder) -> None:
    builder.graph.operators[0].inputs = [0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_subgraph, "no subgraph"),
        (_tensor_index, "refers to tensor 99"),
        (_negative_index, "refers to tensor -5"),
        (_buffer_index, "refers to buffer 77"),
        (_operator_code, "refers to operator code 6"),
        (_outside, "over 2 GB"),
        (_no_channels, r"'conv/weights' has shape \[0, 3, 3, 3\]"),
        (_negative, r"'conv' has shape \[1, 2, 2, -5\]"),
        (_rank, "expected 4 dimensions"),
        (_short_weights, "needs 90000 bytes"),
        (_scale, "scale nan"),
        (_scales, "4 quantization scales, expected 1 or 5"),
        (_no_scale, "'input_0' has 0 quantization scales"),
        (_zero_point, "zero point 300"),
        (_axis, "scales on dimension 3"),
        (_no_options, "has no Conv2DOptions"),
        (_stride, "stride_h 0"),
        (_groups, "groups of 3 channels"),
        (_bias, "'conv/bias'"),
        (_inputs, "expected input, weights"),
    ],
)
def test_damage_is_named(damage: Callable[[ModelBuilder], None], message: str) -> None:
    builder = one_conv()
    damage(builder)
    with pytest.raises(ModelFileError, match=message):
        certify(builder.build())


def test_accessors_refuse_what_they_cannot_give() -> None:
    model = read_model(small_network())
    graph = model.subgraphs[0]
    with pytest.raises(ModelFileError, match=r"'input_0'.*needs 192 bytes, its buffer has 0"):
        constant(model, graph, 0)
    with pytest.raises(ModelFileError, match="expected 2 dimensions"):
        shape(graph, 0, 2)
    graph.tensors[0].type = schema.TensorType.FLOAT32
    with pytest.raises(ModelFileError, match="is FLOAT32"):
        constant(model, graph, 0)
    assert quantization(graph, 0).zero_point.tolist() == [-1]


def test_metadata_is_added_and_replaced() -> None:
    model = read_model(small_network())
    assert get_metadata(model, "note") is None
    for note in (b"first", b"second"):
        set_metadata(model, "note", note)
        model = read_model(write_model(model))
        assert get_metadata(model, "note") == note
    assert len(model.metadata) == 1


def test_metadata_does_not_overwrite_a_shared_buffer() -> None:
    model = read_model(small_network())
    set_metadata(model, "note", b"first")
    weights = next(t for t in model.subgraphs[0].tensors if t.name == b"first/weights")
    before = bytes(model.buffers[weights.buffer].data)
    model.metadata[0].buffer = weights.buffer
    set_metadata(model, "note", b"second")
    assert get_metadata(model, "note") == b"second"
    assert bytes(model.buffers[weights.buffer].data) == before
