# SPDX-License-Identifier: Apache-2.0
"""Whole .tflite files run on our kernels."""

from __future__ import annotations

import numpy as np

import oaq_keras


def answers_of(content: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """What a file answers, output by output in the file's order, to inputs in its order."""
    interpreter = oaq_keras.Interpreter(model_content=content)
    given = interpreter.get_input_details()
    for detail, values in zip(given, inputs, strict=True):
        if tuple(detail["shape"]) != values.shape:
            interpreter.resize_tensor_input(detail["index"], values.shape, strict=True)
    interpreter.allocate_tensors()
    for detail, values in zip(given, inputs, strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
