# SPDX-License-Identifier: Apache-2.0
"""What the tensors of a file hold on calibration data, operator by operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.calibration_data import INPUT_DTYPES
from oaq_keras.errors import ModelFileError, UnsupportedError
from oaq_keras.flatbuffer import Model, quantization, shape, tensor_name
from oaq_keras.int8_layers import Int8Layer
from oaq_keras.operator_runs import OperatorRunner
from oaq_keras.patches import sample_patches

Values = dict[int, list[NDArray[Any]]]
"""Codes of tensors, by index, for each calibration input."""

_SEED = 1


def input_values(model: Model, calibration: Iterable[Sequence[NDArray[Any]]]) -> Values:
    """Calibration data as the values of the model's inputs.

    Raises:
      UnsupportedError: several subgraphs, or data that is not the model's.
    """
    if len(model.subgraphs) != 1:
        raise UnsupportedError(
            f"The model has {len(model.subgraphs)} subgraphs; calibration data is used for models "
            "of one. Leave the data away."
        )
    graph = model.subgraphs[0]
    indices = [int(i) for i in graph.inputs]
    expected = [shape(graph, index) for index in indices]
    dtypes = [INPUT_DTYPES.get(graph.tensors[index].type) for index in indices]
    try:
        given = [[np.asarray(array) for array in arrays] for arrays in calibration]
    except (TypeError, ValueError) as error:
        raise UnsupportedError(
            f"Calibration data is a list of inputs, each a list of arrays; got "
            f"{type(calibration).__name__}: {error}."
        ) from error
    if not given:
        raise UnsupportedError("The calibration data holds no inputs; pass 100 or so.")
    for arrays in given:
        shapes = [array.shape for array in arrays]
        if shapes != expected or [array.dtype for array in arrays] != dtypes:
            names = ", ".join(tensor_name(graph, index) for index in indices)
            wanted = [np.dtype(dtype).name if dtype else "other" for dtype in dtypes]
            raise UnsupportedError(
                f"Calibration data has the shapes {shapes} of {[a.dtype.name for a in arrays]}, "
                f"the model's inputs ({names}) have {expected} of {wanted}. Pass a list of inputs, "
                "each a list of arrays."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise UnsupportedError("Calibration data holds values that are not finite; clean it.")
    return {index: [each[i] for each in given] for i, index in enumerate(indices)}


def run_operator(model: Model, op: int, values: Values, count: int) -> None:
    """Adds what one operator writes, and forgets what no later one reads.

    Args:
      model: that it is in.
      op: its index in the first subgraph.
      values: what was computed so far.
      count: calibration inputs; an operator on constants alone answers each alike.

    Raises:
      ModelFileError: it reads what no operator before it writes.
      UnsupportedError: it does not run by itself; the message names it.
    """
    graph = model.subgraphs[0]
    runner = OperatorRunner(model, graph, op)
    for index in runner.inputs:
        if index not in values:
            raise ModelFileError(
                f"operator {op} reads the tensor {tensor_name(graph, index)!r}, which no operator "
                "before it writes; the file is damaged"
            )
    inputs = [[values[index][number] for index in runner.inputs] for number in range(count)]
    outputs = zip(*(runner(each) for each in inputs), strict=True)
    values.update(zip(runner.outputs, map(list, outputs), strict=True))
    later = {int(i) for operator in graph.operators[op + 1 :] for i in operator.inputs}
    for index in [index for index in values if index not in later]:
        del values[index]


def real_patches(
    model: Model,
    layer: Int8Layer,
    values: Sequence[NDArray[Any]],
    count: int,
) -> Iterator[NDArray[np.float32]]:
    """Real values of patches of a layer's input, of every calibration input in turn.

    Args:
      model: the layer's; its input's format is the one the model has now.
      layer: any kind but TRANSPOSE_CONV.
      values: codes of its input.
      count: patches in all, about; all rows of a fully connected layer.

    Yields:
      [patches, groups, products]; of the same places for the same layer and count.
    """
    graph = model.subgraphs[0]
    affine = quantization(graph, layer.input)
    places = np.random.default_rng(_SEED)
    for codes in values:
        steps = codes.astype(np.float32) - np.float32(affine.zero_point[0])
        real = np.asarray(steps * affine.scale[0], np.float32)
        if layer.kind == "FULLY_CONNECTED":
            yield real.reshape(-1, 1, layer.products)
            continue
        _, height, width, depth = shape(graph, layer.weights)
        depthwise = layer.kind == "DEPTHWISE_CONV_2D"
        for image in real:
            at = places.random((-(-count // (len(values) * len(real))), 2))
            yield sample_patches(image, (height, width), layer.options, depthwise, depth, at)
