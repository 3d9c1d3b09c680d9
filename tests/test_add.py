# SPDX-License-Identifier: Apache-2.0
"""ADD of int8 tensors: ours against the reference kernel, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from oaq_keras import library
from oaq_keras.errors import LibraryError
from oaq_keras.plan import Plan, PlanEntry
from oaq_keras.verification import verify
from tests.isas import available_isas
from tests.models import ModelBuilder, random_codes

REFERENCE = litert.OpResolverType.BUILTIN_REF
ACTIVATIONS = (
    schema.ActivationFunctionType.NONE,
    schema.ActivationFunctionType.RELU,
    schema.ActivationFunctionType.RELU_N1_TO_1,
    schema.ActivationFunctionType.RELU6,
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


def interpreter(content: bytes, ours: Any = None) -> Any:
    made = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=REFERENCE,
        experimental_delegates=ours and [ours],
    )
    made.allocate_tensors()
    return made


def plan(kernels: library.Library, ours: Any) -> list[PlanEntry]:
    return list(Plan.from_json(kernels.plan_json(ours)))


def run(target: Any, *inputs: np.ndarray) -> np.ndarray:
    details = target.get_input_details()
    for detail, codes in zip(details, inputs, strict=True):
        if tuple(detail["shape"]) != codes.shape:
            target.resize_tensor_input(detail["index"], codes.shape)
    target.allocate_tensors()
    for detail, codes in zip(details, inputs, strict=True):
        target.set_tensor(detail["index"], codes)
    target.invoke()
    return np.array(target.get_tensor(target.get_output_details()[0]["index"]))


def addition(
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    activation: int = 0,
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((256, 256), (256, 256)),
) -> bytes:
    graph = ModelBuilder()
    sources = [graph.input(shapes[i], scales[i], zero_points[i]) for i in range(2)]
    options = schema.AddOptionsT()
    options.fusedActivationFunction = activation
    output = graph.tensor("sum", shapes[0], scales[2], zero_points[2])
    graph.op("ADD", sources, output, options)
    return graph.build(output)


def every_pair() -> tuple[np.ndarray, np.ndarray]:
    first, second = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    return first.astype(np.int8), second.astype(np.int8)


@pytest.mark.parametrize("seed", range(12))
def test_every_pair_of_codes_equals_the_reference(kernels: library.Library, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scales = 2.0 ** rng.uniform(-6, 2, 3)
    if seed % 3 == 0:
        scales[1] = scales[0]
    if seed % 4 == 1:
        scales[1] = scales[0] * 2.0 ** -rng.integers(1, 34)
    scales[2] = max(scales[:2]) * 2.0 ** rng.uniform(-3, 3)
    zero_points = rng.integers(-128, 128, 3)
    content = addition(tuple(scales), tuple(int(z) for z in zero_points), ACTIVATIONS[seed % 4])
    codes = every_pair()
    expected = run(interpreter(content), *codes)
    for isa in available_isas(kernels.path):
        ours = delegate(kernels, isa=isa)
        np.testing.assert_array_equal(run(interpreter(content, ours), *codes), expected, isa)
        (entry,) = plan(kernels, ours)
        assert (entry.runs, entry.kind, entry.macs) == ("elementwise", "ADD", 0)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_any_size_and_number_of_threads(kernels: library.Library, threads: int) -> None:
    content = addition((0.1, 0.07, 0.15), (3, -9, 20))
    reference, target = interpreter(content), interpreter(content, delegate(kernels))
    rng = np.random.default_rng(threads)
    for size in (1, 31, 32, 33, 1023, 1025, 500_001, 0, 7):
        codes = [rng.integers(-128, 128, (1, size)).astype(np.int8) for _ in range(2)]
        np.testing.assert_array_equal(run(target, *codes), run(reference, *codes))


def test_a_tensor_added_to_itself_and_between_layers(kernels: library.Library) -> None:
    """As in a residual network: tensors share memory, and the runtime may add in place."""
    rng = np.random.default_rng(5)
    graph = ModelBuilder()
    source = graph.input((1, 9, 9, 8), 0.05, 4)
    first = graph.conv(source, random_codes(rng, 8, 3, 3, 8), "first", 0.1, -3)
    second = graph.conv(first, random_codes(rng, 8, 1, 1, 8), "second", 0.2, 0)
    doubled = graph.add(second, second, "doubled")
    content = graph.build(graph.add(doubled, first, "sum"))
    codes = rng.integers(-128, 128, (1, 9, 9, 8)).astype(np.int8)
    ours = delegate(kernels, plan="int16")
    np.testing.assert_array_equal(
        run(interpreter(content, ours), codes), run(interpreter(content), codes)
    )
    entries = plan(kernels, ours)
    assert [entry.runs for entry in entries[2:]] == ["elementwise", "elementwise"]
    assert verify(content, {"auto": entries}) == []


def test_broadcasts_are_left_to_the_runtime(kernels: library.Library) -> None:
    content = addition((0.1, 0.2, 0.3), (0, 0, 0), shapes=((2, 3, 8), (1, 1, 8)))
    rng = np.random.default_rng(1)
    codes = [rng.integers(-128, 128, shape).astype(np.int8) for shape in ((2, 3, 8), (1, 1, 8))]
    ours = delegate(kernels)
    np.testing.assert_array_equal(
        run(interpreter(content, ours), *codes), run(interpreter(content), *codes)
    )
    (entry,) = plan(kernels, ours)
    assert entry.runs == "stock"
    assert "not of one shape" in entry.reason


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("macs", 8, "the plan has 8 MACs"),
        ("depth", 4, "the plan has depth 4"),
        ("range", [0, 1], "the plan has range"),
        ("op", 3, "the file has no int8 ADD"),
        ("runs", "table", "the file has no 8-bit QUANTIZE"),
    ],
)
def test_verify_checks_additions(
    kernels: library.Library, field: str, value: Any, problem: str
) -> None:
    content = addition((0.1, 0.2, 0.3), (0, 0, 0))
    ours = delegate(kernels)
    interpreter(content, ours)
    (entry,) = (vars(entry) for entry in plan(kernels, ours))
    assert verify(content, {"x": [entry]}) == []
    (found,) = verify(content, {"x": [{**entry, field: value}]})
    assert problem in found
