# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE between 8-bit tensors: our tables against the reference kernel, and ranges behind it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from oaq_keras import library
from oaq_keras.certification import certify
from oaq_keras.errors import LibraryError
from oaq_keras.flatbuffer import Quantization
from oaq_keras.plan import Plan, PlanEntry
from oaq_keras.ranges import requantized
from oaq_keras.verification import bounds, verify
from tests.models import ModelBuilder, random_codes

REFERENCE = litert.OpResolverType.BUILTIN_REF
XNNPACK = litert.OpResolverType.BUILTIN
PAIRS = list(itertools.product(("int8", "uint8"), repeat=2))
CODES = {"int8": (-128, 127), "uint8": (0, 255)}
# Of the input's scale to the output's: around 1, halves, what XNNPACK takes and what it leaves, a
# multiplier of 0, the most that is ours and the least that is not.
RATIOS = (
    *(1.0, 1 + 2.0**-23, 1 - 2.0**-24, 2.0, 0.5, 1.5, 0.75, 1.3, 0.77, 0.1, 11.0, 100.0),
    *(2.0**-8, 2.0**7, 2.0**-12, 2.0**13, 2.0**-30, 2.0**-32, 2.0**-33, 1e-12, 2.0**-80),
    *(2.0**23 * (1 - 2.0**-24), 2.0**23, 2.0**30),
)


@pytest.fixture(scope="module")
def kernels() -> library.Library:
    try:
        return library.load()
    except LibraryError as error:
        pytest.skip(str(error))


def delegate(kernels: library.Library, **options: Any) -> Any:
    given = {"builtin": 1, **options}
    return litert.load_delegate(kernels.path, {key: str(value) for key, value in given.items()})


def interpreter(content: bytes, ours: Any = None, *, resolver: Any = REFERENCE) -> Any:
    made = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=resolver,
        experimental_delegates=ours and [ours],
    )
    made.allocate_tensors()
    return made


def plan(kernels: library.Library, ours: Any) -> list[PlanEntry]:
    return list(Plan.from_json(kernels.plan_json(ours)))


def every_code(dtype: Any, size: int = 256) -> np.ndarray:
    return np.resize(np.arange(256, dtype=np.uint8), size).view(dtype)


def outputs(target: Any) -> list[np.ndarray]:
    """What a network makes of all codes in each input."""
    for detail in target.get_input_details():
        codes = every_code(detail["dtype"], int(np.prod(detail["shape"])))
        target.set_tensor(detail["index"], codes.reshape(detail["shape"]))
    target.invoke()
    return [target.get_tensor(detail["index"]) for detail in target.get_output_details()]


def zero_points(dtype: str, rng: np.random.Generator) -> list[int]:
    low, high = CODES[dtype]
    return [low, high, (low + high + 1) // 2, int(rng.integers(low, high, endpoint=True))]


# The codes.


@pytest.mark.parametrize(("given", "made"), PAIRS)
@pytest.mark.parametrize("scale", [0.05, 2.0**-7, 1.7e-3])
def test_every_code_equals_the_reference(
    kernels: library.Library, given: str, made: str, scale: float
) -> None:
    rng = np.random.default_rng(int(1 / scale))
    graph, quantized, ratios = ModelBuilder(), [], []
    for ratio in RATIOS:
        points = itertools.product(zero_points(given, rng), zero_points(made, rng))
        for zero_point, wanted in points:
            source = graph.input((1, 256), scale, zero_point, given)
            target = float(np.float32(scale / ratio))
            quantized.append(graph.quantize(source, target, wanted, made))
            ratios.append(float(np.float32(scale)) / target)
    content = graph.build(*quantized)
    ours = delegate(kernels)
    expected, actual = outputs(interpreter(content)), outputs(interpreter(content, ours))
    for entry, ratio in zip(plan(kernels, ours), ratios, strict=True):
        claimed = ratio < 2.0**23
        assert entry.runs == ("table" if claimed else "stock"), (ratio, entry.reason)
        if claimed:
            np.testing.assert_array_equal(actual[entry.op], expected[entry.op], f"{ratio} {entry}")
            assert entry.range == CODES[given]
            assert entry.macs == 0
        else:
            assert "left to the runtime" in entry.reason


def test_random_scales_equal_the_reference(kernels: library.Library) -> None:
    rng = np.random.default_rng(5)
    graph, quantized = ModelBuilder(), []
    for given, made in PAIRS * 250:
        scale = 2.0 ** rng.uniform(-12, 8)
        source = graph.input((1, 256), scale, int(rng.integers(*CODES[given])), given)
        target = scale * 2.0 ** rng.uniform(-9, 9)
        quantized.append(graph.quantize(source, target, int(rng.integers(*CODES[made])), made))
    content = graph.build(*quantized)
    ours = delegate(kernels)
    expected, actual = outputs(interpreter(content)), outputs(interpreter(content, ours))
    np.testing.assert_array_equal(actual, expected)
    assert {entry.runs for entry in plan(kernels, ours)} == {"table"}


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize(
    ("scale", "zero_point", "reason"),
    [
        (0.5, 0, "top bits of the codes flipped"),
        (0.6, 3, "codes by table"),
        (0.5, 128, "codes stay as they are"),
    ],
)
def test_any_size_and_number_of_threads(
    kernels: library.Library, scale: float, zero_point: int, reason: str, threads: int
) -> None:
    graph = ModelBuilder()
    source = graph.input((1, 8), 0.5, 128, "uint8")
    made = "uint8" if zero_point == 128 else "int8"
    content = graph.build(graph.quantize(source, scale, zero_point, made))
    ours = delegate(kernels, num_threads=threads)
    reference, target = interpreter(content), interpreter(content, ours)
    rng = np.random.default_rng(threads)
    for size in (1, 15, 16, 17, 4095, 4097, 100_001, 366 * 4096, 1):
        shape = (1, size) if size % 2 else (2, size // 2, 1)
        for each in (reference, target):
            each.resize_tensor_input(0, shape)
            each.allocate_tensors()
        for _ in range(2):
            codes = rng.integers(0, 256, shape).astype(np.uint8)
            for each in (reference, target):
                each.set_tensor(0, codes)
                each.invoke()
            np.testing.assert_array_equal(target.get_tensor(1), reference.get_tensor(1))
        assert target.get_tensor(1).shape == shape
    (entry,) = plan(kernels, ours)
    assert (entry.runs, entry.reason) == ("table", reason)


def test_an_input_of_nothing(kernels: library.Library) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.quantize(graph.input((1, 8), 0.5, 0), 0.7, 0))
    target = interpreter(content, delegate(kernels))
    target.resize_tensor_input(0, (1, 0))
    target.allocate_tensors()
    target.invoke()
    assert target.get_tensor(1).shape == (1, 0)


@pytest.mark.parametrize("seed", range(4))
def test_between_layers(kernels: library.Library, seed: int) -> None:
    """As in a network: from uint8, between layers, and back; tensors share memory."""
    rng = np.random.default_rng(seed)
    graph = ModelBuilder()
    first = graph.quantize(graph.input((1, 12, 11, 3), 0.02, 128, "uint8"), 0.02, 0)
    second = graph.conv(first, random_codes(rng, 8, 3, 3, 3), "second", 0.1, -128, activation=1)
    third = graph.quantize(second, 0.13, -128)
    fourth = graph.conv(third, random_codes(rng, 8, 3, 3, 8), "fourth", 0.3, 5)
    content = graph.build(graph.quantize(fourth, 0.3, 133, "uint8"), second)
    ours = delegate(kernels, plan="int16", isa="scalar")
    expected, actual = outputs(interpreter(content)), outputs(interpreter(content, ours))
    for each, wanted in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(each, wanted)
    entries = plan(kernels, ours)
    assert [entry.runs for entry in entries] == ["table", "int16", "table", "int16", "table"]
    assert verify(content, {"scalar": entries}) == []
    assert " table " in str(Plan(tuple(entries)))


def test_it_is_counted_and_timed(kernels: library.Library) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.quantize(graph.input((1, 8), 0.5, 0), 0.7, 0))
    ours = delegate(kernels, profile=1)
    target = interpreter(content, ours)
    for _ in range(3):
        target.invoke()
    (entry,) = plan(kernels, ours)
    assert entry.invocations == 3
    assert entry.nanoseconds is not None


@pytest.mark.parametrize(
    ("given", "made"), [("float32", "int8"), ("float32", "uint8"), ("int16", "int8")]
)
def test_other_types_are_left_to_the_runtime(
    kernels: library.Library, given: str, made: str
) -> None:
    graph = ModelBuilder()
    source = graph.input((1, 4), 0.5, 0, given)
    content = graph.build(graph.quantize(source, 0.25, 0, made))
    ours = delegate(kernels)
    target = interpreter(content, ours)
    codes = np.array([[-1, 0, 3, 9]], given)
    target.set_tensor(0, codes)
    target.invoke()
    scale = 4 if given == "float32" else 2
    limits = CODES[made]
    np.testing.assert_array_equal(target.get_tensor(1), np.clip(codes * scale, *limits))
    (entry,) = plan(kernels, ours)
    assert entry.runs == "stock"
    assert f"is {given}, expected int8 or uint8: left to the runtime" in entry.reason


def test_it_is_not_claimed_unless_asked(kernels: library.Library) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.quantize(graph.input((1, 8), 0.5, 0), 0.7, 0))
    ours = delegate(kernels, builtin=0)
    interpreter(content, ours)
    (entry,) = plan(kernels, ours)
    assert entry.runs == "stock"
    assert "builtin=1" in entry.reason


# Ranges.

WEIGHTS = np.full((2, 256), 3, np.int8)


def closed(
    graph: ModelBuilder, scale: float, zero_point: int, dtype: str, limits: tuple[int, int]
) -> int:
    """A tensor of all codes of its type, or of int8 ones within limits."""
    source = graph.input((1, 256), scale, zero_point, dtype)
    for kind, limit in zip(("MAXIMUM", "MINIMUM"), limits, strict=True):
        if dtype == "int8":
            name = f"{kind}_{len(graph.graph.tensors)}"
            codes = np.full((1, 1), limit, np.int8)
            constant = graph.tensor(f"{name}/limit", (1, 1), scale, zero_point, codes)
            source = graph.op(kind, [source, constant], graph.like(source, name))
    return source


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "limits", "target", "wanted", "expected"),
    [
        (0.5, 128, "uint8", (0, 255), 0.5, 0, (-128, 127)),
        (0.5, 3, "uint8", (0, 255), 0.5, -100, (-103, 127)),  # the same scale: to the code
        (0.5, 0, "int8", (-7, 20), 0.5, 10, (3, 30)),
        (0.5, 0, "int8", (-7, 20), 0.25, 10, (-5, 51)),  # -4 and 50, a code more either way
        (0.5, 0, "int8", (-7, 20), 1.0, 0, (-4, 11)),  # -3.5 rounds up,
        (0.5, 0, "int8", (-6, 20), 2.0, 0, (-3, 6)),  # -1.5 away from zero: it is shifted right
        (0.5, 0, "int8", (0, 127), 2.0**-20, 0, (-1, 127)),
        (0.5, 0, "int8", (0, 127), 2.0**40, 9, (8, 10)),  # a multiplier of 0
        (0.5, 0, "int8", (0, 127), 2.0**-24, 0, (-128, 127)),  # the runtime's products overflow
        (0.5, 255, "uint8", (0, 255), 1.0, 127, (-1, 127)),
    ],
)
def test_ranges(
    kernels: library.Library,
    scale: float,
    zero_point: int,
    dtype: str,
    limits: tuple[int, int],
    target: float,
    wanted: int,
    expected: tuple[int, int],
) -> None:
    graph = ModelBuilder()
    source = closed(graph, scale, zero_point, dtype, limits)
    content = graph.build(
        graph.fully_connected(graph.quantize(source, target, wanted), WEIGHTS, scale=40.0)
    )
    assert certify(content).layers[0].input_range == expected
    (bound,) = bounds(content)
    assert (bound.low, bound.high) == expected
    ours = delegate(kernels, plan="int16", isa="scalar")
    interpreter(content, ours)
    entries = plan(kernels, ours)
    assert entries[-1].range == expected
    assert verify(content, {"scalar": entries}) == []


def random_quantize(graph: ModelBuilder, rng: np.random.Generator) -> int:
    """A QUANTIZE to int8, mostly of the ratios that XNNPACK runs: 2^-8 to 2^7."""
    dtype = str(rng.choice(["int8", "int8", "uint8"]))
    limits = sorted(int(code) for code in rng.integers(-128, 128, 2))
    scale = float(np.float32(2.0 ** rng.uniform(-9, 3)))
    ratio = 2.0 ** rng.choice(
        [rng.uniform(-8, 7), rng.uniform(-20, 25), rng.integers(-8, 8), 0.0, rng.uniform(-1, 1)]
    )
    low, high = CODES[dtype]
    source = closed(graph, scale, int(rng.integers(low, high + 1)), dtype, (limits[0], limits[1]))
    return graph.quantize(source, float(np.float32(scale / ratio)), int(rng.integers(-128, 128)))


@pytest.mark.parametrize("seed", range(6))
def test_ranges_agree_and_hold_in_every_runtime(kernels: library.Library, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = ModelBuilder()
    quantized = [random_quantize(graph, rng) for _ in range(100)]
    for index in quantized:
        graph.fully_connected(index, WEIGHTS, f"dense_{index}", scale=40.0)
    content = graph.build(*quantized, *graph.graph.operators[-1].outputs)
    found = [layer.input_range for layer in certify(content).layers]
    assert [(bound.low, bound.high) for bound in bounds(content)] == found
    ours = delegate(kernels, plan="int16", isa="scalar")
    runs = {
        "reference": outputs(interpreter(content)),
        "ours": outputs(interpreter(content, ours)),
        "XNNPACK": outputs(interpreter(content, resolver=XNNPACK)),
    }
    entries = plan(kernels, ours)
    assert [entry.range for entry in entries if entry.kind == "FULLY_CONNECTED"] == found
    assert verify(content, {"scalar": entries}) == []
    assert sum(known != (-128, 127) for known in found) > 50
    for codes in runs.values():
        for each, (low, high) in zip(codes, found, strict=False):
            assert low <= each.min()
            assert each.max() <= high


@pytest.mark.parametrize(("given", "made"), PAIRS)
def test_python_requantizes_as_the_reference(given: str, made: str) -> None:
    rng = np.random.default_rng(3)
    graph, quantized, formats = ModelBuilder(), [], []
    for _ in range(60):
        scale, target = (float(np.float32(2.0 ** rng.uniform(-9, 3))) for _ in range(2))
        points = int(rng.integers(*CODES[given])), int(rng.integers(*CODES[made]))
        source = graph.input((1, 256), scale, points[0], given)
        quantized.append(graph.quantize(source, target, points[1], made))
        formats.append(
            [
                Quantization(np.array([s], np.float32), np.array([p]), 0)
                for s, p in zip((scale, target), points, strict=True)
            ]
        )
    codes = every_code(np.dtype(given)).astype(int)
    for expected, pair in zip(outputs(interpreter(graph.build(*quantized))), formats, strict=True):
        ours = [requantized(int(code), *pair) for code in codes]
        np.testing.assert_array_equal(np.clip(ours, *CODES[made]), expected[0])


# `verify` on plans with tables.


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("range", (-6, 20), "the plan has range (-6, 20)"),
        ("range", None, "the plan has range None"),
        ("macs", 1, "the plan has 1 MACs, a table has none"),
        ("weights_bytes", 1, "the plan has weights, or not what a table takes"),
        ("packed_bytes", 255, "the plan has weights, or not what a table takes"),
        ("isa", "avx2", "the plan has isa avx2, a table has none"),
        ("tiles_int16", 0, "the plan has tiles int16 0, a table has none"),
        ("op", 0, "op 0: the plan runs it as a table, the file has no 8-bit QUANTIZE"),
        ("runs", "exact", "op 2: the plan runs it exact, the file has no int8 layer"),
    ],
)
def test_verify_checks_tables(
    kernels: library.Library, field: str, value: Any, problem: str
) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.quantize(closed(graph, 0.5, 0, "int8", (-7, 20)), 0.7, 3))
    ours = delegate(kernels)
    interpreter(content, ours)
    entries = [vars(entry) for entry in plan(kernels, ours)]
    assert [entry["runs"] for entry in entries] == ["stock", "stock", "table"]
    assert verify(content, {"x": entries}) == []
    (found,) = verify(content, {"x": [*entries[1:2], {**entries[2], field: value}]})
    assert problem in found
    # A runtime may keep the operator.
    assert verify(content, {"x": [{**entries[2], "runs": "stock"}]}) == []
