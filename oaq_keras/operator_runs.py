# SPDX-License-Identifier: Apache-2.0
"""Runs a model operator by operator in LiteRT, so that one may change between two runs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import Graph, Model, is_constant, kind, tensor_name, write_model
from oaq_keras.litert import interpreter as litert
from oaq_keras.tflite_schema import schema


class OperatorRunner:
    """One operator of a model, as a model of its own.

    Attributes:
      inputs, outputs: indices of the tensors, in the model, that it reads and writes; constants
        are left out.
    """

    def __init__(self, model: Model, graph: Graph, op: int) -> None:
        """Copies the operator and its constants as they are now.

        Raises:
          UnsupportedError: LiteRT's own operators lack it, or it keeps a state.
        """
        operator = copy.copy(graph.operators[op])
        wanted = [int(i) for i in (*operator.inputs, *operator.outputs)]
        used = sorted({i for i in wanted if i >= 0})
        place = {index: number for number, index in enumerate(used)} | {-1: -1}
        self.inputs = [
            i
            for i in dict.fromkeys(int(i) for i in operator.inputs)
            if i >= 0 and not is_constant(model, graph, i)
        ]
        self.outputs = [int(i) for i in operator.outputs]
        name = f"{kind(model, operator)} {tensor_name(graph, self.outputs[0])!r}"
        if any(graph.tensors[i].isVariable for i in used):
            raise UnsupportedError(f"{name} keeps a state between runs: calibrate without it.")
        small = schema.ModelT()
        small.version, small.metadata, small.signatureDefs = model.version, [], []
        small.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
        small.buffers = [model.buffers[0]]
        part = schema.SubGraphT()
        part.tensors = []
        for index in used:
            tensor = copy.copy(graph.tensors[index])
            small.buffers.append(model.buffers[tensor.buffer])
            tensor.buffer = len(small.buffers) - 1
            part.tensors.append(tensor)
        operator.opcodeIndex = 0
        operator.inputs = [place[int(i)] for i in operator.inputs]
        operator.outputs = [place[i] for i in self.outputs]
        part.operators = [operator]
        part.inputs = [place[i] for i in self.inputs]
        part.outputs = operator.outputs
        small.subgraphs = [part]
        try:
            self._interpreter = litert.Interpreter(
                model_content=write_model(small),
                num_threads=1,
                experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UnsupportedError(f"{name} does not run by itself in LiteRT: {error}") from error
        self._sources = [entry["index"] for entry in self._interpreter.get_input_details()]
        self._targets = [entry["index"] for entry in self._interpreter.get_output_details()]

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Its outputs for these inputs."""
        for index, value in zip(self._sources, inputs, strict=True):
            self._interpreter.set_tensor(index, np.asarray(value))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._targets]
