# SPDX-License-Identifier: Apache-2.0
"""Runs .tflite files, ours on our kernels."""

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import oaq_keras
from oaq_keras.flatbuffer import read_model
from oaq_keras.float_operators import float_operators
from oaq_keras.model_file import names_oaq_operators


def answers_of(
    content: bytes, inputs: Sequence[NDArray[np.float32]] | NDArray[np.float32], model: Any
) -> dict[str, NDArray[np.float32]]:
    """Outputs of a file, one input at a time.

    Args:
      content: a .tflite file of one input.
      inputs: n of them, float32 [...].
      model: the float tf_keras model that it was made of, which has the outputs' names.

    Returns:
      float32 [n, ...] by the name of the output's layer.
    """
    interpreter = interpreter_of(content)
    answer = _by_signature if interpreter.get_signature_list() else _in_order
    found = [answer(interpreter, each[None]) for each in inputs]
    names = list(model.output_names)
    if set(found[0]) != set(names):  # outputs may be counted instead
        counted = dict(zip(sorted(found[0]), names, strict=True))
        found = [{counted[name]: values for name, values in each.items()} for each in found]
    return {name: np.stack([each[name][0] for each in found]) for name in names}


def _by_signature(interpreter: Any, example: NDArray[np.float32]) -> dict[str, Any]:
    runner = interpreter.get_signature_runner()
    (source,) = runner.get_input_details()
    answers = runner(**{source: example})
    return {name.removeprefix("quant_"): np.array(values) for name, values in answers.items()}


def _in_order(interpreter: Any, example: NDArray[np.float32]) -> dict[str, Any]:
    """Of a file without signatures, whose outputs are in the model's order."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], example)
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {f"{i:04}": interpreter.get_tensor(each["index"]) for i, each in enumerate(details)}


def interpreter_of(content: bytes) -> Any:
    """An interpreter of one thread, LiteRT's or ours as the file's operators are."""
    made = oaq_keras.Interpreter if names_oaq_operators(content) else Interpreter
    interpreter = made(model_content=content, num_threads=1)
    # The file's shape is [1, ...], or any number with 1 to begin with.
    interpreter.allocate_tensors()
    return interpreter


def latencies(
    files: Mapping[str, bytes], example: NDArray[np.float32], seconds: float = 6.0
) -> dict[str, float]:
    """Median milliseconds of one inference of each file, on one thread, in turns.

    Args:
      files: .tflite files of one input, by name.
      example: an input of theirs.
      seconds: to take about, in all.
    """
    interpreters = {name: interpreter_of(content) for name, content in files.items()}
    for each in interpreters.values():
        each.set_tensor(each.get_input_details()[0]["index"], example[None])
        each.invoke()
    times: dict[str, list[float]] = {name: [] for name in files}
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for name, each in interpreters.items():
            start = time.perf_counter()
            each.invoke()
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(found) for name, found in times.items()}


def float_kinds(content: bytes) -> list[str]:
    """Kinds of the operators that compute in float."""
    return [kind for each in float_operators(read_model(content)) for kind in each.kinds]
