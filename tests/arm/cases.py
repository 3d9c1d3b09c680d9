# SPDX-License-Identifier: Apache-2.0
"""Networks, inputs and the reference's answers, written on this machine for an emulated Python."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as drawn_from

from oaq_keras.flatbuffer import is_constant, kind, read_model, write_model
from oaq_keras.rewrite import to_custom_ops
from tests import test_op_sweep as sweep
from tests.netgen import compare, constants, draw, write

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclass(frozen=True)
class Case:
    """A file in one form or two, and what the reference answers.

    Attributes:
      name: says how to make it again.
      turn: chooses among forms, plans and threads.
      files: contents, builtin operators first, with all tensors as outputs.
      original: the file with the outputs that it has; None where the reference's answers change
        with its memory plan.
      arrays: "N in TENSOR" and "N out TENSOR" for the Nth inputs.
      kinds: how many inputs there are.
      resized: the inputs have other shapes than the file says.
    """

    name: str
    turn: int
    files: tuple[bytes, ...]
    arrays: dict[str, np.ndarray]
    kinds: int
    resized: bool = False
    original: bytes | None = None


def network(seed: int) -> Case:
    """A network of the generator with all its kinds of inputs, and all tensors."""
    made = draw.draw(seed)
    written = write.write(made)
    arrays = {}
    expected = compare._expected(made, written)
    for i, (name, answers) in enumerate(expected.items()):
        for node, tensor in enumerate(written.tensors):
            way = "in" if made.nodes[node].kind == "INPUT" else "out"
            arrays[f"{i} {way} {tensor}"] = answers[node]
            if way == "in":
                codes = made.nodes[node].options
                fed = constants.inputs(name, codes["seed"], tuple(codes["shape"]))
                assert np.array_equal(answers[node], fed)
    content = written.content
    files = (_all_outputs(content), _all_outputs(to_custom_ops(content)))
    original = content if compare._shares_memory_well(made, written, expected) else None
    return Case(f"network {seed}", seed, files, arrays, len(expected), original=original)


def _all_outputs(content: bytes) -> bytes:
    """Releases before LiteRT write over tensors that they were told to preserve."""
    model = read_model(content)
    (graph,) = model.subgraphs
    graph.outputs = [int(output) for operator in graph.operators for output in operator.outputs]
    return write_model(model)


def operators(seed: int, count: int) -> Iterator[Case]:
    """Single operators, as Hypothesis chooses them."""
    for name in KINDS:
        for i, case in enumerate(_drawn(name, seed, count // len(KINDS))):
            yield _operator(f"{name} {seed}.{i}", case)


def _drawn(name: str, seed: int, count: int) -> list[sweep.Case]:
    found: list[sweep.Case] = []

    @drawn_from(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(sweep.cases(name))
    def collect(case: sweep.Case) -> None:
        found.append(case)

    collect()
    return found


def _operator(name: str, case: sweep.Case) -> Case:
    content = sweep.model(case)
    rng = np.random.default_rng(case.seed)
    image = rng.integers(-128, 127, case.input_shape(case.batch), endpoint=True).astype(np.int8)
    # TFLite's own convolution wants a bias.
    with_bias = case if case.bias else dataclasses.replace(case, bias=True, largest_bias=0)
    windowed = case.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
    reference = sweep.model(with_bias) if windowed else content
    expected = sweep.answer(reference, image, case.resized)
    (graph,) = read_model(content).subgraphs
    arrays = {f"0 in {graph.inputs[0]}": image, f"0 out {graph.outputs[0]}": expected}
    # Runtimes that do not know the newest TRANSPOSE_CONV know ours.
    transposed = case.kind == "TRANSPOSE_CONV"
    files = (content, to_custom_ops(content)) if transposed else (content,)
    return Case(name, case.seed, files, arrays, 1, resized=case.resized)


def write_all(folder: Path, cases: Sequence[Case]) -> None:
    """What answer.py reads."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for i, case in enumerate(cases):
        np.savez(folder / f"{i}.npz", **case.arrays)  # type: ignore[arg-type]
        names = []
        for j, content in enumerate(case.files):
            names.append(f"{i}.{j}.tflite")
            (folder / names[-1]).write_bytes(content)
        entry = {"name": case.name, "turn": case.turn, "kinds": case.kinds}
        entry.update(_graph(case.files[0]), resized=case.resized, original=None, files=names)
        if case.original is not None:
            entry["original"] = f"{i}.tflite"
            entry["outputs"] = _graph(case.original)["outputs"]
            (folder / f"{i}.tflite").write_bytes(case.original)
        listed.append({**entry, "arrays": f"{i}.npz"})
    (folder / "cases.json").write_text(json.dumps(listed))


def _graph(content: bytes) -> dict[str, Any]:
    model = read_model(content)
    (graph,) = model.subgraphs
    inputs = [int(tensor) for tensor in graph.inputs]
    nodes = []
    for op, operator in enumerate(graph.operators):
        read = [int(t) for t in operator.inputs if t >= 0 and not is_constant(model, graph, t)]
        node = {"op": op, "kind": kind(model, operator), "tensor": int(operator.outputs[0])}
        nodes.append({**node, "inputs": read})
    return {"inputs": inputs, "outputs": [int(t) for t in graph.outputs], "nodes": nodes}
