# SPDX-License-Identifier: Apache-2.0
"""Runs .tflite files, ours on our kernels."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import oaq_keras
from oaq_keras.flatbuffer import read_model
from oaq_keras.float_operators import float_operators


def answers_of(
    content: bytes, inputs: NDArray[np.float32], model: Any
) -> dict[str, NDArray[np.float32]]:
    """Outputs of a file, one input at a time.

    Args:
      content: a .tflite file of one input.
      inputs: float32 [n, ...].
      model: the float tf_keras model that it was made of, which has the outputs' names.

    Returns:
      float32 [n, ...] by the name of the output's layer.
    """
    ours = b"OaqConv2D" in content or b"OaqDepthwiseConv2D" in content
    made = oaq_keras.Interpreter if ours else Interpreter
    interpreter = made(model_content=content, num_threads=1)
    # The file's shape is [1, ...], or any number with 1 to begin with.
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    (source,) = runner.get_input_details()
    found: dict[str, list[NDArray[np.float32]]] = {}
    for each in inputs:
        for name, answer in runner(**{source: each[None]}).items():
            found.setdefault(name.removeprefix("quant_"), []).append(answer[0])
    names = list(model.output_names)
    if set(found) != set(names):  # signatures may count outputs instead
        found = dict(zip(names, (found[name] for name in sorted(found)), strict=True))
    return {name: np.stack(found[name]) for name in names}


def float_kinds(content: bytes) -> list[str]:
    """Kinds of the operators that compute in float."""
    return [kind for each in float_operators(read_model(content)) for kind in each.kinds]
