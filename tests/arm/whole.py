# SPDX-License-Identifier: Apache-2.0
"""Whole networks in a C runtime under qemu, tensor by tensor against LiteRT's reference kernels."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert

from oaq_keras.flatbuffer import Model, is_constant, kind, read_model, write_model

# What runtimes compute alike in every release, where it is not ours.
_ALIKE = ("ADD", "CONCATENATION", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "PAD", "RESHAPE")

Codes = np.ndarray


@dataclass(frozen=True)
class Network:
    """A file whose outputs are all its operators' tensors, with an image and what they should be.

    Attributes:
      model: of `content`.
      expected: by LiteRT's reference kernels on this machine, by tensor.
    """

    content: bytes
    model: Model
    image: Codes
    expected: dict[int, Codes]


def observed(content: bytes, seed: int = 1) -> Network:
    """The network, with all of its tensors as outputs."""
    model = read_model(content)
    (graph,) = model.subgraphs
    graph.outputs = [int(output) for operator in graph.operators for output in operator.outputs]
    model.signatureDefs = None
    changed = write_model(model)
    reference = litert.Interpreter(
        model_content=changed, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    reference.allocate_tensors()
    (source,) = reference.get_input_details()
    limits = np.iinfo(source["dtype"])
    draw = np.random.default_rng(seed).integers
    image = draw(limits.min, limits.max, source["shape"], source["dtype"], endpoint=True)
    reference.set_tensor(source["index"], image)
    reference.invoke()
    expected = {tensor: reference.get_tensor(tensor) for tensor in graph.outputs}
    return Network(changed, model, image, expected)


def run(command: list[str], content: bytes, image: Codes, folder: Path) -> tuple[bytes, Any]:
    """All outputs' bytes, and the plan.

    Args:
      command: oaq_run_model with all options but these.
      content, image: the network and its input.
      folder: for files.
    """
    files = {"model": content, "input": image.tobytes(), "output": b""}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        command = [*command, f"--{name}", str(folder / name)]
    command += ["--mode", "oaq", "--runs", "1", "--warmup", "0", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)["modes"][0]["plan"]
    return (folder / "output").read_bytes(), plan


def differing(network: Network, plan: Any, outputs: bytes) -> tuple[int, list[str]]:
    """How many of our operators' tensors were compared, and which differ.

    What lies behind a runtime's own arithmetic is left out: releases differ in it.
    """
    ours = {entry["op"] for entry in plan if entry["runs"] != "stock"}
    (graph,) = network.model.subgraphs
    known = {int(tensor) for tensor in graph.inputs}
    at, compared, wrong = 0, 0, []
    for op, operator in enumerate(graph.operators):
        name = kind(network.model, operator)
        (tensor,) = operator.outputs
        wanted = network.expected[tensor]
        found = np.frombuffer(outputs[at : at + wanted.nbytes], wanted.dtype)
        at += wanted.nbytes
        variable = [
            t for t in operator.inputs if t >= 0 and not is_constant(network.model, graph, t)
        ]
        if (op in ours or name in _ALIKE or op == 0) and set(variable) <= known:
            known.add(tensor)
            compared += op in ours
            count = int((found != wanted.reshape(-1)).sum())
            if count:
                wrong.append(f"{name} {op}: {count} of {wanted.size} codes")
    assert at == len(outputs)
    return compared, wrong
