# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import copy
import json
import random
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from oaq_keras import (
    flatbuffer,
    verification,
    verification_file,
    verification_graph,
    verification_transposed,
)
from oaq_keras.certificate import METADATA
from oaq_keras.certification import attach_certificate, certify
from oaq_keras.errors import LibraryError, ModelFileError, OaqError, UnsupportedError
from oaq_keras.plan import ISAS
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.verification import Bound, bounds, verify
from tests.models import (
    RELU,
    ModelBuilder,
    enlarging_network,
    small_network,
    upsampling_network,
)
from tests.netgen.draw import draw
from tests.netgen.write import write

NETWORKS = {
    f"{make.__name__}, {largest}, seed {seed}": make(largest, seed)
    for make in (small_network, upsampling_network, enlarging_network)
    for largest in (15, 60, 127)
    for seed in (1, 2)
}


@pytest.fixture(params=NETWORKS)
def certified(request: pytest.FixtureRequest) -> bytes:
    model = NETWORKS[request.param]
    return attach_certificate(model, certify(model))


def test_shares_no_code_with_what_it_checks() -> None:
    modules = (verification, verification_file, verification_graph, verification_transposed)
    imported = set()
    for module in modules:
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported.update(name.name for name in node.names)
    ours = {name for name in imported if name.startswith("oaq_keras")}
    # Errors have no code, and the schema is the runtime's own.
    shared = {"oaq_keras.errors", "oaq_keras.tflite_schema"}
    assert ours == shared | {module.__name__ for module in modules[1:]}


def test_agrees_with_certify(certified: bytes) -> None:
    assert verify(certified) == []
    assert verify(to_custom_ops(certified)) == []
    found = bounds(certified)
    for layer, claim in zip(found, certify(certified).layers, strict=True):
        assert (layer.low, layer.high) == claim.input_range
        for depth in (2, 6, 16, 1000):
            other = certify(certified, depth=depth, first_layer_depth=depth)
            match = next(entry for entry in other.layers if entry.op == layer.op)
            for layout in layer.layouts:
                assert layer.worst_case(layout, depth) == match.layouts[layout].worst_case


@pytest.mark.parametrize("isa", ISAS)
def test_agrees_with_the_plan(certified: bytes, isa: str) -> None:
    from oaq_keras.runtime import Interpreter

    try:
        interpreter = Interpreter(model_content=to_custom_ops(certified), plan="int16", isa=isa)
    except (LibraryError, UnsupportedError) as error:
        pytest.skip(str(error))
    interpreter.allocate_tensors()
    plan = [vars(entry) for entry in interpreter.plan()]
    assert isa != "scalar" or sum(entry["runs"] == "int16" for entry in plan) >= 4
    assert verify(certified, {isa: plan}) == []
    if all(entry["runs"] != "int16" for entry in plan):
        return
    for field in ("drains", "depth", "tiles", "tiles_int16"):
        edited = [
            {**entry, field: entry[field] + 1} if entry["runs"] == "int16" else entry
            for entry in plan
        ]
        assert verify(certified, {isa: edited})


def edited(content: bytes, edit: Callable[[Any], None]) -> bytes:
    """The file with its own certificate, edited."""
    model = flatbuffer.read_model(content)
    claims: Any = json.loads(certify(content).to_json())
    edit(claims)
    flatbuffer.set_metadata(model, METADATA, json.dumps(claims).encode())
    return flatbuffer.write_model(model)


def other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value[:-1], other(value[-1])]
    return value + (0.001 if isinstance(value, float) else "x" if isinstance(value, str) else 1)


def half_float_network() -> bytes:
    """A small network and a CONV_2D in float."""
    builder = ModelBuilder()
    x = builder.input((1, 4, 4, 2))
    made = builder.conv(x, np.ones((4, 3, 3, 2), np.int8))
    made = builder.fully_connected(made, np.ones((3, 16), np.int8))
    stray = builder.conv(x, np.ones((4, 3, 3, 2), np.int8), "stray")
    builder.graph.tensors[stray].type = schema.TensorType.FLOAT32
    return builder.build(made, stray)


SMALL = small_network(15)
FIELDS = {
    "": (*("format", "version", "policy", "depth", "first_layer_depth"), "accumulator_bits"),
    "layers": (
        *("subgraph", "op", "name", "kind", "macs", "channels", "products", "input_range"),
        *("depth", "first", "proven", "proven_channels", "never_drained_channels"),
    ),
    "layouts": (
        *("share", "worst_case", "headroom", "max_depth", "never_drained", "proven_channels"),
        *("never_drained_channels", "proven", "pair_worst_case"),
    ),
    "skipped": ("subgraph", "op", "name"),
}


@pytest.mark.parametrize("change", ["another value", "no value", "another type"])
@pytest.mark.parametrize(
    ("where", "field"), [(where, field) for where, names in FIELDS.items() for field in names]
)
def test_an_edited_field_is_found(where: str, field: str, change: str) -> None:
    def edit(claims: Any) -> None:
        owner = claims[where][0] if where in claims else claims
        if where == "layouts":
            owner = claims["layers"][0]["layouts"]["c4"]
        if change == "no value":
            del owner[field]
        else:
            owner[field] = other(owner[field]) if change == "another value" else [owner[field]]

    content = half_float_network()
    assert verify(edited(content, lambda claims: None)) == []
    assert verify(edited(content, edit))


@pytest.mark.parametrize(
    "edit",
    [
        lambda claims: claims["layers"].pop(),
        lambda claims: claims["layers"].reverse(),
        lambda claims: claims["skipped"].append({"subgraph": 0, "op": 0, "name": "first"}),
        lambda claims: claims.update(layers={}),
        lambda claims: claims.update(target=["c8", "c8"]),
        lambda claims: claims.update(target=["c8"]),
        lambda claims: claims.update(surplus=1),
        lambda claims: claims["layers"][0].update(surplus=1),
        lambda claims: claims["layers"][0].update(layouts=[]),
        lambda claims: claims["layers"][0]["layouts"].pop("broadcast"),
        lambda claims: claims["layers"][0]["layouts"]["broadcast"].update(share=28),
        lambda claims: claims["layers"][0]["layouts"]["c8"].update(pair_worst_case=1),
        lambda claims: claims["layers"][0]["layouts"]["c8"].update(headroom=float("nan")),
        lambda claims: claims["layers"][1]["layouts"].update(c8={}),
    ],
)
def test_an_edited_certificate_is_found(edit: Callable[[Any], None]) -> None:
    assert verify(edited(SMALL, edit))


@pytest.mark.parametrize("settings", [{"depth": 7}, {"target": ("c4",)}, {"accumulator_bits": 12}])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_on_generated_networks(seed: int, settings: dict[str, Any]) -> None:
    content = write(draw(seed)).content
    assert verify(attach_certificate(content, certify(content, **settings))) == []


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1, "a": 2}'])
def test_a_certificate_that_is_no_json_is_an_error(text: bytes) -> None:
    model = flatbuffer.read_model(SMALL)
    flatbuffer.set_metadata(model, METADATA, text)
    with pytest.raises(ModelFileError, match="no JSON"):
        verify(flatbuffer.write_model(model))


def test_a_certificate_that_is_no_object_is_found() -> None:
    model = flatbuffer.read_model(SMALL)
    flatbuffer.set_metadata(model, METADATA, b"[]")
    (problem,) = verify(flatbuffer.write_model(model))
    assert "expected an object" in problem


def planned(content: bytes) -> list[dict[str, Any]]:
    from oaq_keras.runtime import Interpreter

    try:
        interpreter = Interpreter(model_content=content, builtin=True, plan="int16", isa="scalar")
    except LibraryError as error:
        pytest.skip(str(error))
    interpreter.allocate_tensors()
    return [dict(vars(entry)) for entry in interpreter.plan()]


def test_a_plan_need_not_take_a_layer_but_has_to_know_it() -> None:
    plan = planned(SMALL)
    assert verify(SMALL, {"scalar": plan}) == []
    left = dict.fromkeys(("isa", "layout", "depth", "never_drained", "drains", "tiles", "range"))
    assert verify(SMALL, {"scalar": [{**plan[0], **left, "runs": "stock"}, *plan[1:]]}) == []
    assert verify(SMALL, {"scalar": [{**plan[0], "runs": "exact"}, *plan[1:]]}) == []
    (problem,) = verify(SMALL, {"scalar": [{**plan[0], "runs": "stock"}, *plan[1:]]})
    assert problem == "scalar: first: left to the runtime, though the plan has kernels of scalar"
    for memory in ({"weights_bytes": plan[0]["weights_bytes"] - 1}, {"packed_bytes": 99}):
        for runs in ("int16", "exact"):
            (problem,) = verify(SMALL, {"scalar": [{**plan[0], **memory, "runs": runs}, *plan[1:]]})
            assert "weights, found" in problem or "99 bytes packed" in problem
    (problem,) = verify(SMALL, {"scalar": plan[1:]})
    assert problem == "scalar: first: missing from the plan"
    (problem,) = verify(SMALL, {"scalar": [*plan, {**plan[0], "op": 99}]})
    assert problem == "scalar: op 99: the plan runs it int16, the file has no int8 layer"


def test_layers_of_several_subgraphs_are_told_apart() -> None:
    model = flatbuffer.read_model(SMALL)
    second = copy.deepcopy(model.subgraphs[0])
    for operator in second.operators:
        if hasattr(operator.builtinOptions, "fusedActivationFunction"):
            operator.builtinOptions.fusedActivationFunction = 0
    model.subgraphs.append(second)
    content = flatbuffer.write_model(model)
    assert verify(attach_certificate(content, certify(content))) == []
    plan = [{**entry, "subgraph": 0} for entry in planned(SMALL)]
    assert verify(content, {"scalar": plan}) == []  # a runtime need not ask about the second
    problems = verify(content, {"scalar": [*plan, *({**entry, "subgraph": 1} for entry in plan)]})
    assert "scalar: spatial: the plan has range (0, 127)" in problems
    assert not any("first: the plan has range" in problem for problem in problems)


# Ranges, where a rule is easily applied to too much.


def low_and_high(builder: ModelBuilder, source: int) -> tuple[int, int]:
    builder.fully_connected(source, np.full((4, 64), 60, np.int8))
    content = builder.build()
    (layer,) = bounds(content)
    assert certify(content).layers[0].input_range == (layer.low, layer.high)
    return layer.low, layer.high


@pytest.mark.parametrize(
    ("kind", "options", "low"),
    [
        ("RESHAPE", schema.Pool2DOptionsT, -128),
        ("ADD", schema.MulOptionsT, -128),
        ("ADD", schema.AddOptionsT, 0),
        ("MAX_POOL_2D", schema.Pool2DOptionsT, 0),
        ("MAX_POOL_2D", schema.AddOptionsT, -128),
    ],
)
def test_options_of_another_operator_fuse_nothing(kind: str, options: Any, low: int) -> None:
    builder = ModelBuilder()
    x = builder.input((1, 64))
    given = options()
    given.fusedActivationFunction = RELU
    builder.op(kind, [x, x] if kind == "ADD" else [x], builder.tensor("y", (1, 64)), given)
    assert low_and_high(builder, x + 1)[0] == low


@pytest.mark.parametrize(("kind", "low"), [("MEAN", -128), ("RESHAPE", 0)])
def test_means_may_hold_any_code(kind: str, low: int) -> None:
    builder = ModelBuilder()
    x = builder.op("RELU", [builder.input((1, 64))], builder.tensor("x", (1, 64)))
    assert low_and_high(builder, builder.op(kind, [x], builder.like(x, "y")))[0] == low


@pytest.mark.parametrize(("height", "low"), [(1 << 12, 0), (1 << 13, -128)])
def test_averages_of_more_than_an_int32_sums_may_hold_any_code(height: int, low: int) -> None:
    builder = ModelBuilder()
    x = builder.op("RELU", [builder.input((1, 64))], builder.tensor("x", (1, 64)))
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = height, 1 << 11
    pooled = builder.op("AVERAGE_POOL_2D", [x], builder.like(x, "y"), options)
    assert low_and_high(builder, pooled)[0] == low


def test_variables_may_hold_any_code() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 64), data=np.ones(64, np.int8))
    builder.graph.tensors[x].isVariable = True
    assert low_and_high(builder, x) == (-128, 127)


@pytest.mark.parametrize(("highest", "proven"), [(0, True), (1, False)])
def test_a_pair_may_sum_to_the_least_int16(highest: int, proven: bool) -> None:
    builder = ModelBuilder()
    limit = builder.tensor("limit", (1,), data=np.full(1, highest, np.int8))
    x = builder.op("MINIMUM", [builder.input((1, 16)), limit], builder.tensor("x", (1, 16)))
    weights = np.zeros((4, 16), np.int8)
    weights[:, :2] = -128
    builder.fully_connected(x, weights)
    certificate = certify(builder.build())
    # 32768 for codes of [-128, 0], which an int16 holds below zero alone.
    assert certificate.layers[0].layouts["c4"].pair_worst_case == (highest + 128) * 256
    assert certificate.proven == proven
    assert verify(attach_certificate(builder.build(), certificate)) == []


def test_a_bound_by_hand() -> None:
    layer = Bound(0, 0, "x", "CONV_2D", 0, 100, [[[1, -2, 3, -4, 5, 6, 7, 8, 9, -10]]])
    # c8: lanes {1, 9}, {-2, -10}, ...; c4: lanes {1, -2, 5, 6, 9, -10}, {3, -4, 7, 8}.
    assert layer.worst_case("c8", 16) == 1200
    assert layer.worst_case("c8", 1) == 1000
    assert layer.worst_case("c4", 16) == 3300
    assert layer.worst_case("c4", 4) == 2200
    assert layer.worst_pair() == 1500


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", bytes(100), b"\x08\x00\x00\x00TFL3" + b"\xff" * 64]
)
def test_no_model_is_an_error(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="not a TFLite model"):
        verify(content)


# Files made to do harm.


def test_a_stride_beyond_the_filter_has_no_more_phases() -> None:
    builder = ModelBuilder()
    builder.transpose_conv(builder.input((1, 4, 4, 8)), np.ones((4, 3, 3, 8), np.int8))
    options = builder.graph.operators[0].builtinOptions
    options.strideH = options.strideW = 2**31 - 1
    (layer,) = bounds(builder.build())
    assert [len(matrix[0]) for matrix in layer.matrices] == [8] * 9


def nested_vectors(levels: int, size: int) -> bytes:
    """FlexBuffers of vectors that each name one vector many times."""
    data = struct.pack("<I", size)
    start, vector = len(data), flexbuffers.Type.VECTOR << 2 | 2
    data += struct.pack("<I", 1) * size + bytes([flexbuffers.Type.INT << 2 | 2] * size)
    for _ in range(levels):
        data += bytes(-len(data) % 4) + struct.pack("<I", size)
        previous, start = start, len(data)
        data += b"".join(struct.pack("<I", start + 4 * i - previous) for i in range(size))
        data += bytes([vector] * size)
    data += bytes(-len(data) % 4)
    return data + struct.pack("<I", len(data) - start) + bytes([vector, 4])


@pytest.mark.parametrize(
    "options",
    [
        b"",
        b"\0",
        nested_vectors(9, 10),
        bytes(10_000),
        flexbuffers.Dumps({"activation": 1.5}),
        flexbuffers.Dumps({str(i): i for i in range(100)}),
        flexbuffers.Dumps({"activation": 1}),
    ],
)
def test_options_that_are_no_small_map_of_integers(options: bytes) -> None:
    model = flatbuffer.read_model(to_custom_ops(SMALL))
    model.subgraphs[0].operators[0].customOptions = np.frombuffer(options, np.uint8)
    with pytest.raises(ModelFileError, match="damaged"):
        verify(flatbuffer.write_model(model))


def test_tables_that_many_share_are_refused() -> None:
    builder = flatbuffers.Builder(1024)
    tensors = [schema.TensorT().Pack(builder) for _ in range(1000)]
    schema.SubGraphStartTensorsVector(builder, len(tensors))
    for tensor in tensors:
        builder.PrependUOffsetTRelative(tensor)
    vector = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, vector)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 5000)
    for _ in range(5000):
        builder.PrependUOffsetTRelative(graph)
    vector = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, vector)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    with pytest.raises(ModelFileError, match="tables"):
        verify(bytes(builder.Output()))


def test_damaged_files_are_refused_or_read() -> None:
    """Whatever bytes are wrong, verify returns or raises an error of ours, and soon."""
    good = [attach_certificate(make(15), certify(make(15))) for make in (upsampling_network,)]
    good += [SMALL, to_custom_ops(good[0]), to_custom_ops(SMALL)]
    draws, answers = random.Random(5), Counter[str]()
    started = time.monotonic()
    for _ in range(300):
        data = bytearray(draws.choice(good))
        for _ in range(draws.choice((1, 1, 2, 4))):
            position = draws.randrange(len(data))
            flipped = data[position] ^ 1 << draws.randrange(8)
            data[position] = draws.choice((0, 255, 127, 128, flipped, draws.randrange(256)))
        try:
            verify(bytes(data))
            answers["read"] += 1
        except OaqError:
            answers["refused"] += 1
    assert time.monotonic() - started < 60
    assert min(answers["read"], answers["refused"]) > 60
