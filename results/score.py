# SPDX-License-Identifier: Apache-2.0
"""Answers of a .tflite file on images, and how they compare with those of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Score:
    """How a network answers, beside the float network that it came from.

    Attributes:
      divergence: mean Kullback-Leibler divergence of its answers from the float network's, nats.
      top1: share of right answers.
      change, interval: top-1 minus the float network's, and half the 95 % interval of that paired
        difference, the crops of an image taken together.
    """

    divergence: float
    top1: float
    change: float
    interval: float


def answers(
    content: bytes,
    pixels: NDArray[np.uint8],
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> NDArray[np.float32]:
    """Real outputs of a file, image by image.

    Args:
      content: a .tflite file of one input and one output.
      pixels: uint8 [..., height, width, channels].
      prepare: what the float network's input is made of pixels by.

    Returns:
      float32 [..., classes].
    """
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    found = []
    for image in pixels.reshape(-1, 1, *pixels.shape[-3:]):
        interpreter.set_tensor(source["index"], _encoded(prepare(image), source))
        interpreter.invoke()
        found.append(_decoded(interpreter.get_tensor(target["index"]), target).reshape(-1))
    return np.stack(found).reshape(*pixels.shape[:-3], -1)


def score(
    given: NDArray[np.float32], reference: NDArray[np.float32], labels: NDArray[np.int64]
) -> Score:
    """Compares logits [images, crops, classes] with the float network's."""
    right, before = (
        (logits.argmax(-1) == labels[:, None]).mean(1) for logits in (given, reference)
    )
    change = right - before
    return Score(
        divergence=float(divergence(reference, given).mean()),
        top1=float(right.mean()),
        change=float(change.mean()),
        interval=float(_NORMAL_95 * change.std(ddof=1) / np.sqrt(len(change))),
    )


def divergence(reference: NDArray[np.float32], given: NDArray[np.float32]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of softmax(given) from softmax(reference), in nats."""
    p, q = _log_softmax(reference), _log_softmax(given)
    found: NDArray[np.float64] = (np.exp(p) * (p - q)).sum(-1)
    return found


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def _encoded(real: NDArray[Any], tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return real
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    codes = np.rint(real / scale + zero_point)
    return np.clip(codes, limits.min, limits.max).astype(tensor["dtype"])


def _decoded(codes: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    if tensor["dtype"] == np.float32:
        return np.asarray(codes)
    scale, zero_point = tensor["quantization"]
    return ((codes.astype(np.float32) - zero_point) * scale).astype(np.float32)
