# SPDX-License-Identifier: Apache-2.0
"""What Keras simulates against what a .tflite file computes, layer by layer on the same inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert

from oaq_keras._keras import keras, tfmot
from oaq_keras.configs import QuantizeInput
from oaq_keras.flatbuffer import (
    is_constant,
    is_int8,
    kind,
    quantization,
    read_model,
    shape,
    tensor_name,
    write_model,
)

REFERENCE = litert.OpResolverType.BUILTIN_REF
SUMMING = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
    keras.layers.Add,
    keras.layers.BatchNormalization,
)


@dataclass
class Differences:
    """Of one layer's output codes, the file's less the simulation's.

    Attributes:
      name: of the layer in Keras.
      kind: the operator.
      counts: how many codes differ by how much.
    """

    name: str
    kind: str
    counts: dict[int, int]

    @property
    def codes(self) -> int:
        return sum(self.counts.values())

    @property
    def equal(self) -> float:
        return self.counts.get(0, 0) / self.codes

    @property
    def largest(self) -> int:
        return max(map(abs, self.counts))

    def __str__(self) -> str:
        spread = ", ".join(f"{key:+d}: {value}" for key, value in sorted(self.counts.items()))
        return f"{self.kind:20} {self.name:28} {self.equal:9.4%} of {self.codes}: {spread}"


def count(answers: np.ndarray, expected: np.ndarray) -> dict[int, int]:
    difference = answers.astype(int).ravel() - expected.astype(int).ravel()
    keys, counts = np.unique(difference, return_counts=True)
    return {int(key): int(number) for key, number in zip(keys, counts, strict=True)}


def compare_layers(
    model: Any, content: bytes, images: np.ndarray, library: str | None = None
) -> Iterator[Differences]:
    """Runs every int8 operator of a file alone, on the codes that the simulation gives it.

    Args:
      model: from `quantize`, trained or calibrated.
      content: `convert(model, ops="builtin")`.
      images: a batch.
      library: path of our kernels, which then sum in int16; by default BUILTIN_REF.
    """
    values = _simulated(model, images)
    quantized = {layer.name for layer in model.layers if _is_quantized(layer)} | {"input"}
    sources = _layers_of_tensors(content, [name for name in values if name in quantized])
    parsed = read_model(content)
    graph = parsed.subgraphs[0]
    for operator in graph.operators:
        (output,) = map(int, operator.outputs)
        fed = [int(i) for i in operator.inputs if i >= 0 and not is_constant(parsed, graph, int(i))]
        if not all(index in sources and is_int8(graph.tensors[index]) for index in [*fed, output]):
            continue
        codes = [_codes(graph, i, values[sources[i]]) for i in fed]
        answers = _run(_alone(parsed, operator, fed), codes, library)
        expected = _codes(graph, output, values[sources[output]])
        yield Differences(sources[output], kind(parsed, operator), count(answers, expected))


def _alone(parsed: Any, operator: Any, fed: list[int]) -> bytes:
    """A file of one operator, whose inputs are `fed`."""
    given = parsed.subgraphs[0]
    used = list(dict.fromkeys(int(i) for i in [*operator.inputs, *operator.outputs] if i >= 0))
    made, graph, inner = copy.copy(parsed), copy.copy(given), copy.copy(operator)
    tensors = [copy.copy(given.tensors[i]) for i in used]
    made.buffers = [parsed.buffers[0], *(parsed.buffers[tensor.buffer] for tensor in tensors)]
    for number, tensor in enumerate(tensors):
        tensor.buffer = number + 1
    inner.inputs = [used.index(int(i)) if i >= 0 else -1 for i in operator.inputs]
    inner.outputs = [used.index(int(i)) for i in operator.outputs]
    graph.tensors, graph.operators = tensors, [inner]
    graph.inputs, graph.outputs = [used.index(i) for i in fed], inner.outputs
    made.subgraphs, made.signatureDefs, made.metadata = [graph], [], []
    return bytes(write_model(made))


def _simulated(model: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer writes; of what TFLite fuses into the next layer, what that one writes."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    written = [layer.get_output_at(-1) for layer in layers]
    every = keras.Model(model.inputs, written)(images, training=False)
    values: dict[str, np.ndarray] = {}
    for layer, output, value in reversed(list(zip(layers, written, every, strict=True))):
        readers = [other.name for other in layers if _reads(other, output)]
        fused = _is_summing(layer) and layer.quantize_config.output_quantizer is None and readers
        values[layer.name] = values[readers[0]] if fused else value.numpy()
        if isinstance(layer, QuantizeInput):
            values["input"] = value.numpy()
    return dict(reversed(values.items()))


def _is_quantized(layer: Any) -> bool:
    return isinstance(layer, (QuantizeInput, tfmot.quantization.keras.QuantizeWrapper))


def _reads(layer: Any, tensor: Any) -> bool:
    inputs = layer.get_input_at(-1)
    return any(each is tensor for each in (inputs if isinstance(inputs, list) else [inputs]))


def _is_summing(layer: Any) -> bool:
    inner = getattr(layer, "layer", None)
    return isinstance(inner, SUMMING)


def _layers_of_tensors(content: bytes, layers: list[str]) -> dict[int, str]:
    """The Keras layer whose output a tensor holds: the last one that its name mentions."""
    parsed = read_model(content)
    graph = parsed.subgraphs[0]
    found: dict[int, str] = {}
    for index in range(len(graph.tensors)):
        parts = {
            part for whole in tensor_name(graph, index).split(";") for part in whole.split("/")
        }
        mentioned = [name for name in layers if name in parts]
        if mentioned:
            found[index] = mentioned[-1]
    for operator in graph.operators:
        if kind(parsed, operator) == "RESHAPE" and int(operator.inputs[0]) in found:
            found[int(operator.outputs[0])] = found[int(operator.inputs[0])]
        if kind(parsed, operator) == "QUANTIZE" and int(operator.inputs[0]) in list(graph.inputs):
            found[int(operator.outputs[0])] = "input"
    return found


def _codes(graph: Any, index: int, values: np.ndarray) -> np.ndarray:
    affine = quantization(graph, index)
    values = values.reshape(-1, *shape(graph, index)[1:])
    codes = np.rint(values / affine.scale[0].astype(np.float64)) + affine.zero_point[0]
    return np.clip(codes, -128, 127).astype(np.int8)


def _run(content: bytes, inputs: list[np.ndarray], library: str | None) -> np.ndarray:
    options = {"builtin": "1", "plan": "int16", "isa": "scalar"}
    interpreter = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=REFERENCE,
        experimental_delegates=library and [litert.load_delegate(library, options)],
    )
    for detail, codes in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.resize_tensor_input(detail["index"], codes.shape)
    interpreter.allocate_tensors()
    for detail, codes in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], codes)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
