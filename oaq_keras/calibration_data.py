# SPDX-License-Identifier: Apache-2.0
"""Calibration inputs of a .tflite file, from arrays that a user saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import Graph, read_model, shape, tensor_name, type_name
from oaq_keras.model_file import Source
from oaq_keras.tflite_schema import schema

INPUT_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT32: np.int32,
}
"""numpy's types for inputs of these types."""


def load_calibration(path: Path, model: Source) -> list[list[NDArray[Any]]]:
    """Reads an .npz file with one array [inputs, ...] for each of the model's inputs.

    An .npy file serves a model of one input. Arrays are taken in the order of the file; their first
    dimension counts calibration inputs, in multiples of the batch that the model is made for.

    Returns:
      As `recertify` takes it.

    Raises:
      UnsupportedError: no such file, or arrays that are not the model's inputs.
    """
    try:
        arrays = _arrays(path)
    except Exception as error:  # of a damaged file: a dozen types, from numpy, zipfile and codecs
        raise UnsupportedError(
            f"{path} is no calibration data: {error}; write it by numpy.savez(path, inputs)"
        ) from error
    graph = read_model(model).subgraphs[0]
    if len(arrays) != len(graph.inputs):
        raise UnsupportedError(
            f"{path} holds {len(arrays)} arrays, the model has {len(graph.inputs)} inputs; save "
            "one array for each, in their order"
        )
    batches = [
        _batches(path, graph, int(index), array)
        for index, array in zip(graph.inputs, arrays, strict=True)
    ]
    if len({len(batch) for batch in batches}) > 1:
        raise UnsupportedError(f"{path} holds more of one input than of another")
    return [list(each) for each in zip(*batches, strict=True)]


def _arrays(path: Path) -> list[NDArray[Any]]:
    with path.open("rb") as file:
        if not file.read(6).startswith((b"PK", b"\x93NUMPY")):
            raise ValueError("it is neither .npz nor .npy")
        file.seek(0)
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return [found]
        with found as archive:
            arrays = [archive[name] for name in archive.files]
    for name, array in zip(found.files, arrays, strict=True):
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name!r} in it is no array")
    return arrays


def _batches(path: Path, graph: Graph, index: int, array: NDArray[Any]) -> list[NDArray[Any]]:
    expected, tensor = shape(graph, index), graph.tensors[index]
    if not expected:
        raise UnsupportedError(
            f"Input {tensor_name(graph, index)!r} has no dimensions, so that no file holds several "
            "of it. Pass calibration data to oaq_keras.recertify in Python."
        )
    batch, rest = expected[0], expected[1:]
    dtype = INPUT_DTYPES.get(tensor.type)
    if array.ndim and not len(array):
        raise UnsupportedError(f"{path} holds an empty array; save 100 inputs or so")
    fits = array.ndim and array.shape[1:] == rest and array.dtype == dtype
    if not fits or len(array) < batch:
        raise UnsupportedError(
            f"{path} holds {array.dtype} {list(array.shape)} for input "
            f"{tensor_name(graph, index)!r}, which takes {type_name(tensor)} [inputs, "
            f"{', '.join(map(str, rest))}], inputs in multiples of {batch}"
        )
    return [array[i : i + batch] for i in range(0, len(array) - batch + 1, batch)]
