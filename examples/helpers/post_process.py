# SPDX-License-Identifier: Apache-2.0
"""Ends a .tflite file of SSD heads in TFLite's operator for decoding and suppression."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from helpers.boxes import VARIANCES, Boxes
from helpers.detection_scores import Detections
from helpers.tflite_files import interpreter_of
from oaq_keras.flatbuffer import read_model, text, write_model

OPERATOR = "TFLite_Detection_PostProcess"
OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
"""Top, left, bottom, right in shares of the picture; places of classes; scores; how many."""


def with_post_process(
    content: bytes,
    heads: Sequence[str],
    levels: Sequence[Boxes],
    classes: int,
    least: float = 0.01,
    most_overlap: float = 0.45,
    most: int = 100,
) -> bytes:
    """A file that answers with detections, as `suppressed` of what `ssd.decode` gives.

    Args:
      content: a .tflite file of one signature with float outputs, for one picture at a time.
      heads: names of its outputs, classes and boxes of each level in turns.
      levels: anchors of each level, centres and sizes.
      classes: number of classes.
      least: score.
      most_overlap: intersection over union.
      most: detections, over all classes.

    Returns:
      The file, its outputs `OUTPUTS`: float32 [1, most, 4], [1, most], [1, most] and [1].
    """
    model = read_model(content)
    graph = _Graph(model)
    (signature,) = model.signatureDefs
    given = {text(each.name): int(each.tensorIndex) for each in signature.outputs}
    by_name = {name.removeprefix("quant_"): index for name, index in given.items()}
    if set(by_name) != set(heads):  # signatures may count outputs instead
        by_name = dict(zip(heads, (given[name] for name in sorted(given)), strict=True))
    flat = [
        graph.reshaped(by_name[name], (1, len(levels[i // 2]), (classes, 4)[i % 2]))
        for i, name in enumerate(heads)
    ]
    total = sum(len(each) for each in levels)
    logits = graph.concatenated(flat[::2], (1, total, classes))
    codes = graph.concatenated(flat[1::2], (1, total, 4))
    scores = graph.tensor("scores", (1, total, classes))
    graph.operator("LOGISTIC", [logits], [scores])
    # The operator has y before x.
    centres = np.concatenate(levels)[:, [1, 0, 3, 2]]
    sources = [codes, scores, graph.tensor("anchors", centres.shape, centres)]
    shapes = ((1, most, 4), (1, most), (1, most), (1,))
    found = [graph.tensor(name, shape) for name, shape in zip(OUTPUTS, shapes, strict=True)]
    options = {
        "max_detections": most,
        "max_classes_per_detection": 1,
        "detections_per_class": most,
        "use_regular_nms": True,
        "nms_score_threshold": least,
        "nms_iou_threshold": most_overlap,
        "num_classes": classes,
        **{f"{name}_scale": 1 / each for name, each in zip("xywh", VARIANCES, strict=True)},
    }
    graph.operator(OPERATOR, sources, found, flexbuffers.Dumps(options))
    model.subgraphs[0].outputs = np.array(found, np.int32)
    signature.outputs = [_named(name, i) for name, i in zip(OUTPUTS, found, strict=True)]
    return write_model(model)


def detections_of(
    content: bytes, inputs: NDArray[np.float32], sizes: Sequence[tuple[int, int]]
) -> list[Detections]:
    """What such a file finds.

    Args:
      content: from `with_post_process`.
      inputs: float32 [n, ...].
      sizes: width and height in pixels of each picture.
    """
    runner = interpreter_of(content).get_signature_runner()
    (source,) = runner.get_input_details()
    found = []
    for each, size in zip(inputs, sizes, strict=True):
        answers = runner(**{source: each[None]})
        boxes, kinds, scores, count = (answers[name][0] for name in OUTPUTS)
        corners = np.clip(boxes[:, [1, 0, 3, 2]], 0.0, 1.0) * np.array([*size, *size], np.float32)
        known = slice(int(count))
        found.append(Detections(corners[known], scores[known], kinds[known].astype(np.int64)))
    return found


def _named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


class _Graph:
    """Adds tensors and operators to a model's only subgraph."""

    def __init__(self, model: Any) -> None:
        self._model = model
        (self._graph,) = model.subgraphs
        self._codes: dict[str, int] = {}

    def tensor(self, name: str, shape: tuple[int, ...], values: NDArray[Any] | None = None) -> int:
        """The place of a new tensor: float32, or a constant of float32 or int32."""
        made, buffer = schema.TensorT(), schema.BufferT()
        made.name, made.shape = name, np.array(shape, np.int32)
        whole = values is not None and values.dtype == np.int32
        made.type = schema.TensorType.INT32 if whole else schema.TensorType.FLOAT32
        buffer.data = np.frombuffer(b"" if values is None else values.tobytes(), np.uint8)
        made.buffer = len(self._model.buffers)
        self._model.buffers.append(buffer)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], custom: bytes | None = None
    ) -> Any:
        """A new operator, builtin without options or custom."""
        made = schema.OperatorT()
        if custom is not None:
            made.customOptions = np.frombuffer(custom, np.uint8)
            made.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
        made.opcodeIndex = self._code(kind, custom is not None)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self._graph.operators.append(made)
        return made

    def _code(self, kind: str, custom: bool) -> int:
        if kind not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, "CUSTOM" if custom else kind)
            code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
            code.customCode = kind if custom else None
            self._codes[kind] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[kind]

    def reshaped(self, source: int, shape: tuple[int, ...]) -> int:
        """The place of a tensor in another shape."""
        wanted = self.tensor("shape", (len(shape),), np.array(shape, np.int32))
        found = self.tensor("reshaped", shape)
        self.operator("RESHAPE", [source, wanted], [found])
        return found

    def concatenated(self, sources: Sequence[int], shape: tuple[int, ...]) -> int:
        """The place of tensors along axis 1."""
        found = self.tensor("concatenated", shape)
        made = self.operator("CONCATENATION", sources, [found])
        made.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
        made.builtinOptions = schema.ConcatenationOptionsT()
        made.builtinOptions.axis = 1
        return found
