# SPDX-License-Identifier: Apache-2.0
"""PAD of 8-bit tensors: our copies against the reference kernel, alone and among layers."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from oaq_keras import library
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.verification import verify
from tests.models import ModelBuilder, random_codes
from tests.test_quantize import delegate, interpreter, kernels, outputs, plan

__all__ = ["kernels"]  # a fixture

CASES = [
    ((1, 5, 6, 3), [[0, 0], [1, 1], [1, 1], [0, 0]]),
    ((2, 4, 3, 5), [[0, 0], [0, 1], [2, 0], [0, 0]]),
    ((2, 4, 3, 5), [[1, 2], [3, 0], [0, 4], [1, 2]]),
    ((1, 1, 1, 1), [[0, 0], [0, 0], [0, 0], [0, 0]]),
    ((3, 4, 5), [[1, 0], [2, 1], [0, 3]]),
    ((6, 2), [[0, 2], [3, 1]]),
    ((7,), [[2, 5]]),
]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("shape", "paddings"), CASES)
def test_equals_the_reference(
    kernels: library.Library, shape: tuple[int, ...], paddings: list[list[int]], dtype: str
) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.pad(graph.input(shape, 0.5, 77, dtype), paddings))
    ours = delegate(kernels)
    np.testing.assert_array_equal(
        outputs(interpreter(content, ours)), outputs(interpreter(content))
    )
    entries = plan(kernels, ours)
    assert [entry.runs for entry in entries] == ["copy"]
    assert verify(content, {"auto": entries}) == []
    (entry,) = (vars(entry) for entry in entries)
    assert verify(content, {"auto": [{**entry, "runs": "table"}]})
    assert verify(content, {"auto": [{**entry, "range": (0, 1)}]})


def _between_layers() -> bytes:
    rng = np.random.default_rng(5)
    graph = ModelBuilder()
    first = graph.conv(
        graph.input((1, 9, 8, 3), 0.02, 0), random_codes(rng, 8, 3, 3, 3), "first", 0.1, -90
    )
    padded = graph.pad(first, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return graph.build(graph.conv(padded, random_codes(rng, 8, 3, 3, 8), "last", 0.3, 5))


def test_it_is_ours_among_oaq_operators(kernels: library.Library) -> None:
    content = _between_layers()
    ours = delegate(kernels, builtin=0)
    custom = to_custom_ops(content)
    np.testing.assert_array_equal(outputs(interpreter(custom, ours)), outputs(interpreter(content)))
    entries = plan(kernels, ours)
    assert entries[1].runs == "copy"
    assert verify(custom, {"auto": entries}) == []
    # The zero point around them is a code that the next layer meets.
    low, high = entries[2].range or (0, 0)
    assert low <= -90 <= high


def test_it_is_left_where_no_layer_is_ours(kernels: library.Library) -> None:
    ours = delegate(kernels, builtin=0)
    interpreter(_between_layers(), ours)
    assert {entry.runs for entry in plan(kernels, ours)} == {"stock"}


def _edited(edit: Any) -> bytes:
    graph = ModelBuilder()
    source = graph.input((1, 4, 4, 2), 0.5, 3)
    padded = graph.pad(source, [[0, 0], [1, 1], [1, 1], [0, 0]])
    edit(graph, padded)
    return graph.build(padded)


def _other_zero_point(graph: ModelBuilder, padded: int) -> None:
    graph.graph.tensors[padded].quantization.zeroPoint = [4]


def _no_constant(graph: ModelBuilder, padded: int) -> None:
    paddings = graph.graph.operators[0].inputs[1]
    graph.graph.tensors[paddings].buffer = 0
    graph.graph.inputs.append(paddings)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [(_other_zero_point, "differ in type, scale or zero point"), (_no_constant, "no constant")],
)
def test_others_are_left_to_the_runtime(kernels: library.Library, edit: Any, reason: str) -> None:
    ours = delegate(kernels)
    content = _edited(edit)
    # The runtime may refuse it as well.
    with contextlib.suppress(RuntimeError, ValueError):
        interpreter(content, ours)
    (entry,) = plan(kernels, ours)
    assert entry.runs == "stock"
    assert reason in entry.reason


def test_a_new_shape_is_padded_anew(kernels: library.Library) -> None:
    graph = ModelBuilder()
    content = graph.build(graph.pad(graph.input((1, 4, 4, 2)), [[0, 0], [1, 0], [0, 2], [0, 0]]))
    answers = []
    for ours in (None, delegate(kernels)):
        made = interpreter(content, ours)
        index = made.get_input_details()[0]["index"]
        made.resize_tensor_input(index, (2, 7, 3, 2))
        made.allocate_tensors()
        made.set_tensor(index, np.arange(84, dtype=np.int8).reshape(2, 7, 3, 2))
        made.invoke()
        answers.append(made.get_tensor(made.get_output_details()[0]["index"]))
    assert answers[0].shape == (2, 8, 5, 2)
    np.testing.assert_array_equal(*answers)
