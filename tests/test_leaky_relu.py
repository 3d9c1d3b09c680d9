# SPDX-License-Identifier: Apache-2.0
"""LEAKY_RELU of 8-bit tensors: our tables against the reference kernel, alone and among layers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from oaq_keras import library
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.verification import verify
from tests.models import ModelBuilder, random_codes
from tests.test_quantize import delegate, interpreter, kernels, outputs, plan

__all__ = ["kernels"]  # a fixture

CODES = {"int8": (-128, 127), "uint8": (0, 255)}
RATIOS = (1.0, 2.0, 0.5, 1 + 2.0**-23, 1 - 2.0**-24, 1.3, 0.77, 0.1, 11.0, 2.0**-9, 2.0**-33)
ALPHAS = (0.0, 0.1, 0.01, 0.2, 0.25, 0.3, 0.5, 1.0, 1.5, 1e-9, 2.0**-31)


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("scale", [0.05, 2.0**-7, 1.7e-3])
def test_every_code_equals_the_reference(
    kernels: library.Library, dtype: str, scale: float
) -> None:
    rng = np.random.default_rng(3)
    graph, leaked = ModelBuilder(), []
    for ratio, alpha in itertools.product(RATIOS, ALPHAS):
        points = [int(point) for point in rng.integers(*CODES[dtype], 2)]
        source = graph.input((1, 256), scale, points[0], dtype)
        leaked.append(graph.leaky_relu(source, alpha, scale / ratio, points[1]))
    content = graph.build(*leaked)
    ours = delegate(kernels)
    expected, actual = outputs(interpreter(content)), outputs(interpreter(content, ours))
    np.testing.assert_array_equal(actual, expected)
    entries = plan(kernels, ours)
    assert {entry.runs for entry in entries} == {"table"}
    assert {entry.range for entry in entries} == {CODES[dtype]}
    assert verify(content, {"auto": entries}) == []


def test_random_slopes_equal_the_reference(kernels: library.Library) -> None:
    rng = np.random.default_rng(4)
    graph, leaked = ModelBuilder(), []
    for dtype in ("int8", "uint8") * 250:
        scale = 2.0 ** rng.uniform(-12, 8)
        source = graph.input((1, 256), scale, int(rng.integers(*CODES[dtype])), dtype)
        target = scale * 2.0 ** rng.uniform(-6, 9)
        alpha = float(rng.choice([rng.uniform(0, 1), 2.0 ** rng.uniform(-12, 2)]))
        leaked.append(graph.leaky_relu(source, alpha, target, int(rng.integers(*CODES[dtype]))))
    content = graph.build(*leaked)
    expected, actual = (
        outputs(interpreter(content)),
        outputs(interpreter(content, delegate(kernels))),
    )
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("alpha", "scale", "reason"),
    [(-0.5, 0.5, "expected 0 or more"), (0.5, 2.0**-24, "expected less than 2^23")],
)
def test_others_are_left_to_the_runtime(
    kernels: library.Library, alpha: float, scale: float, reason: str
) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.leaky_relu(graph.input((1, 8), 0.5, 0), alpha, scale, 0))
    ours = delegate(kernels)
    interpreter(content, ours)
    (entry,) = plan(kernels, ours)
    assert entry.runs == "stock"
    assert reason in entry.reason


def _network(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    graph = ModelBuilder()
    first = graph.conv(
        graph.input((1, 12, 11, 3), 0.02, 0), random_codes(rng, 8, 3, 3, 3), "first", 0.1, 5
    )
    second = graph.leaky_relu(first, 0.1, 0.1, -90)
    third = graph.quantize(second, 0.13, -80)
    return graph.build(graph.conv(third, random_codes(rng, 8, 3, 3, 8), "fourth", 0.3, 5))


@pytest.mark.parametrize("threads", [1, 2])
def test_tables_among_oaq_operators_are_ours(kernels: library.Library, threads: int) -> None:
    content = _network(threads)
    expected = outputs(interpreter(content))
    ours = delegate(kernels, builtin=0, isa="scalar", num_threads=threads)
    custom = to_custom_ops(content)
    actual = outputs(interpreter(custom, ours))
    np.testing.assert_array_equal(actual, expected)
    entries = plan(kernels, ours)
    assert [entry.runs for entry in entries][1:3] == ["table", "table"]
    assert verify(custom, {"scalar": entries}) == []
    # Nothing is known of codes behind a LEAKY_RELU.
    assert entries[-1].range is not None


def test_they_are_left_where_no_layer_is_ours(kernels: library.Library) -> None:
    ours = delegate(kernels, builtin=0)
    interpreter(_network(1), ours)
    assert {entry.runs for entry in plan(kernels, ours)} == {"stock"}


@pytest.mark.parametrize(
    ("field", "value"), [("alpha", -1.0), ("alpha", float("nan")), ("alpha", float("inf"))]
)
def test_verify_expects_no_table_of_such_slopes(
    kernels: library.Library, field: str, value: Any
) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.leaky_relu(graph.input((1, 8), 0.5, 0), 0.5, 0.5, 0))
    ours = delegate(kernels)
    interpreter(content, ours)
    entries = plan(kernels, ours)
    assert verify(content, {"x": entries}) == []
    graph.graph.operators[0].builtinOptions.__dict__[field] = value
    (found,) = verify(graph.build(1), {"x": entries})
    assert "the file has no 8-bit QUANTIZE or LEAKY_RELU" in found
