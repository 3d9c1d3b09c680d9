# SPDX-License-Identifier: Apache-2.0
"""The TFLite C API through ctypes: a model, our delegate or our registrations, one inference."""

from __future__ import annotations

import ctypes
import json
from typing import Any

import numpy as np


def infer(
    runtime: str,
    ours: str,
    registrations: dict[bytes, str],
    content: bytes,
    image: np.ndarray,
    way: str,
    options: dict[str, str],
) -> tuple[np.ndarray, Any]:
    """Runs int8 `image` through a model.

    Args:
      runtime: the TFLite C library.
      ours: liboaq_tflite.so.
      registrations: its functions, by the name of the operator that each returns.
      content: the .tflite file.
      image: int8, in the shape of the model's input.
      way: "delegate", "AddCustomOp" or "none".
      options: of the delegate.

    Returns:
      The first output's codes, and the delegate's plan, None without a delegate.

    Raises:
      RuntimeError: a step that the runtime refused.
    """
    tflite, oaq = ctypes.CDLL(runtime), ctypes.CDLL(ours)
    for name in ("TfLiteModelCreate", "TfLiteInterpreterOptionsCreate", "TfLiteInterpreterCreate"):
        getattr(tflite, name).restype = ctypes.c_void_p
    for name in ("TfLiteInterpreterGetInputTensor", "TfLiteInterpreterGetOutputTensor"):
        getattr(tflite, name).restype = ctypes.c_void_p
    pointer = ctypes.c_void_p
    model = pointer(tflite.TfLiteModelCreate(content, ctypes.c_size_t(len(content))))
    settings = pointer(tflite.TfLiteInterpreterOptionsCreate())
    delegate = None
    if way == "AddCustomOp":
        for name, function in registrations.items():
            getattr(oaq, function).restype = pointer
            registration = pointer(getattr(oaq, function)())
            tflite.TfLiteInterpreterOptionsAddCustomOp(settings, name, registration, 1, 1)
    elif way == "delegate":
        keys = (ctypes.c_char_p * len(options))(*(key.encode() for key in options))
        values = (ctypes.c_char_p * len(options))(*(value.encode() for value in options.values()))
        oaq.tflite_plugin_create_delegate.restype = pointer
        delegate = pointer(
            oaq.tflite_plugin_create_delegate(keys, values, ctypes.c_size_t(len(options)), None)
        )
        tflite.TfLiteInterpreterOptionsAddDelegate(settings, delegate)
    interpreter = pointer(tflite.TfLiteInterpreterCreate(model, settings))
    if not interpreter:
        raise RuntimeError("TfLiteInterpreterCreate")
    _check(tflite.TfLiteInterpreterAllocateTensors(interpreter), "AllocateTensors")
    source = pointer(tflite.TfLiteInterpreterGetInputTensor(interpreter, 0))
    copied = tflite.TfLiteTensorCopyFromBuffer(
        source, image.ctypes.data_as(pointer), ctypes.c_size_t(image.nbytes)
    )
    _check(copied, "TensorCopyFromBuffer")
    _check(tflite.TfLiteInterpreterInvoke(interpreter), "Invoke")
    output = pointer(tflite.TfLiteInterpreterGetOutputTensor(interpreter, 0))
    tflite.TfLiteTensorByteSize.restype = ctypes.c_size_t
    answer = np.empty(tflite.TfLiteTensorByteSize(output), np.int8)
    copied = tflite.TfLiteTensorCopyToBuffer(
        output, answer.ctypes.data_as(pointer), ctypes.c_size_t(answer.nbytes)
    )
    _check(copied, "TensorCopyToBuffer")
    plan = None if delegate is None else read_plan(oaq, delegate)
    tflite.TfLiteInterpreterDelete(interpreter)
    tflite.TfLiteInterpreterOptionsDelete(settings)
    tflite.TfLiteModelDelete(model)
    if delegate is not None:
        oaq.tflite_plugin_destroy_delegate(delegate)
    return answer, plan


def read_plan(ours: ctypes.CDLL, delegate: ctypes.c_void_p) -> Any:
    """The plan of a delegate of liboaq_tflite.so, as the JSON value of docs/format.md."""
    ours.oaq_delegate_plan_json.restype = ctypes.c_size_t
    length = ours.oaq_delegate_plan_json(delegate, None, ctypes.c_size_t(0))
    text = ctypes.create_string_buffer(length + 1)
    ours.oaq_delegate_plan_json(delegate, text, ctypes.c_size_t(length + 1))
    return json.loads(text.value)


def _check(status: Any, step: str) -> None:
    if status != 0:
        raise RuntimeError(f"{step} returned {status}")
