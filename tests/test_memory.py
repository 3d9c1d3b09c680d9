# SPDX-License-Identifier: Apache-2.0
"""What the kernels take beside the file, in the plan; and scratch that operators share."""

from __future__ import annotations

import math
import runpy
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from oaq_keras.errors import LibraryError, UnsupportedError
from oaq_keras.plan import ISAS, Memory, Plan, PlanEntry
from oaq_keras.runtime import Interpreter
from tests.models import SAME, ModelBuilder, threaded_network

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = litert.OpResolverType.BUILTIN_REF


def make(content: bytes, **options: Any) -> Interpreter:
    try:
        made = Interpreter(model_content=content, builtin=True, **options)
    except (LibraryError, UnsupportedError) as error:
        pytest.skip(str(error))
    made.allocate_tensors()
    return made


def entry(**values: Any) -> PlanEntry:
    return PlanEntry(**{**dict.fromkeys(PlanEntry.__dataclass_fields__), **values})


def test_workers_blocks_are_as_large_as_the_largest_operators() -> None:
    plan = Plan(
        (
            entry(subgraph=0, weights_bytes=10, packed_bytes=20, scratch_bytes=300, workers=3),
            entry(subgraph=0, weights_bytes=30, packed_bytes=60, scratch_bytes=500, workers=1),
            entry(subgraph=1, weights_bytes=0, packed_bytes=5, scratch_bytes=7, workers=1),
            entry(subgraph=0),
        )
    )
    memory = plan.memory()
    assert memory == Memory(weights=40, packed=85, scratch=500 + 100 + 100 + 7)
    assert memory.extra == 85 + 707
    assert memory.ratio == memory.extra / 40
    assert Plan(()).memory() == Memory(0, 0, 0)
    assert Plan(()).memory().ratio is None


def convolution(inputs: int, outputs: int, filter_size: int) -> bytes:
    builder = ModelBuilder()
    image = builder.input((1, 8, 8, inputs))
    weights = np.full((outputs, filter_size, filter_size, inputs), 1, np.int8)
    return builder.build(builder.conv(image, weights))


# Of a tile: output channels, products of a step, and bytes of a wide weight.
TILES = {"scalar": (4, 8, 1), "sse41": (8, 4, 2), "avx2": (16, 4, 2)}


@pytest.mark.parametrize("isa", TILES)
@pytest.mark.parametrize("plan", ["int16", "exact"])
def test_what_a_convolution_keeps(isa: str, plan: str) -> None:
    """By a formula: what it leaves is the same for all, the operator's own fields."""
    channels, step, wide = TILES[isa]
    rest = set()
    for inputs, outputs in ((8, 5), (8, 40), (31, 16), (64, 100)):
        layer = make(convolution(inputs, outputs, 1), isa=isa, plan=plan).plan()[0]
        assert layer.runs == plan
        assert layer.weights_bytes == inputs * outputs
        tiles = -(-outputs // channels)
        steps = -(-inputs // step)
        drains = layer.drains or 0
        packed = tiles * channels * steps * step * (wide if plan == "exact" else 1)
        # Flags, weights, drain list, its length, first steps, starts, two levels.
        tile = struct.calcsize("???PPNPPII0P")
        biases = 4 * tiles * channels
        # Multipliers, shifts, what doubles hold.
        multipliers = (4 + 4 + 1) * (outputs + 32)
        assert layer.packed_bytes is not None
        rest.add(layer.packed_bytes - packed - tile * tiles - biases - multipliers - 4 * drains)
    (constant,) = rest
    assert 0 < constant < 1500


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("isa", ISAS)
def test_scratch_is_for_the_threads_that_work(isa: str, threads: int) -> None:
    plan = make(threaded_network(15), isa=isa, num_threads=threads).plan()
    workers = [layer.workers for layer in plan if layer.workers]
    assert max(workers) == (threads if threads < 3 else max(workers))
    assert max(workers) <= threads
    memory = plan.memory()
    assert memory.weights == sum(layer.weights_bytes or 0 for layer in plan)
    assert 0 < memory.scratch <= sum(layer.scratch_bytes or 0 for layer in plan)
    assert memory.scratch >= max(layer.scratch_bytes or 0 for layer in plan)
    assert f"{memory.weights:,} bytes of int8 weights take {memory.packed:,} packed" in str(plan)


def run(interpreter: litert.Interpreter, image: np.ndarray) -> np.ndarray:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    answer: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return answer


def reference(content: bytes, image: np.ndarray) -> np.ndarray:
    stock = litert.Interpreter(model_content=content, experimental_op_resolver_type=REFERENCE)
    stock.resize_tensor_input(stock.get_input_details()[0]["index"], image.shape)
    stock.allocate_tensors()
    return run(stock, image)


def resizable() -> bytes:
    """Every way an operator may use scratch, on images of any size."""
    rng = np.random.default_rng(3)

    def codes(*shape: int) -> np.ndarray:
        return rng.integers(-15, 16, shape, "i1")

    builder = ModelBuilder()
    image = builder.input((1, 16, 16, 3))
    lines = builder.conv(image, codes(16, 3, 3, 3), padding=SAME)
    rows = builder.depthwise(lines, codes(1, 3, 3, 16), padding=SAME)
    pixels = builder.conv(rows, codes(24, 1, 1, 16))
    return builder.build(builder.conv(pixels, codes(8, 3, 3, 24), padding=SAME))


@pytest.mark.parametrize("plan", ["int16", "exact"])
def test_two_interpreters_on_one_delegate(plan: str) -> None:
    content = resizable()
    first = make(content, plan=plan, num_threads=2, experimental_op_resolver_type=REFERENCE)
    second = litert.Interpreter(
        model_content=content,
        experimental_delegates=[first._delegate],
        experimental_op_resolver_type=REFERENCE,
    )
    rng = np.random.default_rng(7)
    pair = rng.integers(-128, 128, (2, 1, 64, 64, 3), "i1")
    answers = [reference(content, image) for image in pair]
    assert (answers[0] != answers[1]).any()
    for interpreter in (first, second):
        interpreter.resize_tensor_input(0, pair[0].shape)
        interpreter.allocate_tensors()
    # Each has a plan of its own: the other graph's operators count as another subgraph's.
    assert max(layer.workers or 0 for layer in first.plan()) == 2

    def work(number: int) -> None:
        for _ in range(60):
            found = run((first, second)[number], pair[number])
            np.testing.assert_array_equal(found, answers[number])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("plan", ["int16", "exact"])
def test_inputs_resized_up_and_down(isa: str, plan: str) -> None:
    content = resizable()
    ours = make(content, isa=isa, plan=plan, num_threads=2, experimental_op_resolver_type=REFERENCE)
    index = ours.get_input_details()[0]["index"]
    rng = np.random.default_rng(5)
    seen = {}
    for batch, size in ((1, 16), (1, 70), (3, 5), (1, 150), (2, 16), (1, 1), (1, 70)):
        image = rng.integers(-128, 128, (batch, size, size, 3), "i1")
        ours.resize_tensor_input(index, image.shape)
        ours.allocate_tensors()
        for _ in range(2):
            np.testing.assert_array_equal(run(ours, image), reference(content, image))
        seen[batch, size] = ours.plan().memory()
    # What is kept besides padding rows does not depend on the shape, scratch does.
    assert seen[1, 150].scratch > seen[1, 16].scratch > seen[1, 1].scratch
    assert len({memory.weights for memory in seen.values()}) == 1
    assert max(m.packed for m in seen.values()) < 2 * min(m.packed for m in seen.values())


def int8_weights(content: bytes) -> int:
    """Codes of all filters and matrices of a file, counted from their shapes alone."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    codes = schema.BuiltinOperator
    kinds = (codes.CONV_2D, codes.DEPTHWISE_CONV_2D, codes.FULLY_CONNECTED)
    return sum(
        math.prod(graph.tensors[operator.inputs[1]].shape)
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode in kinds
    )


@pytest.fixture(scope="module")
def mobilenet(shared_data: Path) -> bytes:
    """Certified, so that every tile can run int16."""
    path = shared_data / "models" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    script = ROOT / "tflite_kernels" / "bench" / "certified.py"
    certified: bytes = runpy.run_path(str(script))["certified"](path.read_bytes(), 16)
    return certified


@pytest.mark.parametrize(("plan", "most"), [("int16", 1.3), ("exact", 2.2)])
def test_mobilenet_takes_little_more_than_its_weights(
    mobilenet: bytes, plan: str, most: float
) -> None:
    interpreter = make(mobilenet, isa="avx2", plan=plan)
    layers = [layer for layer in interpreter.plan() if layer.isa]
    assert {layer.runs for layer in layers} == {plan}
    memory = interpreter.plan().memory()
    assert memory.weights == int8_weights(mobilenet)
    assert memory.extra <= most * memory.weights
