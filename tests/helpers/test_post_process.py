# SPDX-License-Identifier: Apache-2.0
"""TFLite's operator at the end of a file against decoding and suppression in Python."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from helpers import ssd
from helpers.detection_scores import suppressed
from helpers.post_process import detections_of, with_post_process
from helpers.tflite_files import answers_of

from oaq_keras._keras import keras

SIDE, CLASSES = 64, 2
PER_CELL = {stride: len(scales) * len(ssd.RATIOS) for stride, scales in ssd.LEVELS.items()}


def _network() -> keras.Model:
    """A network with SSDLite's outputs that finds something of everything."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 5, 16, "same", activation="relu")(inputs)
    outputs = []
    for stride, count in PER_CELL.items():
        for kind, channels in (("classes", count * CLASSES), ("boxes", count * 4)):
            head = keras.layers.Conv2D(channels, 1, stride // 16, name=f"{kind}_{stride}")
            outputs.append(head(x))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("quantized", [False, True])
def test_post_processing_in_the_file_finds_what_the_script_does(quantized: bool) -> None:
    model, levels = _network(), ssd.level_anchors(SIDE)
    draw = np.random.default_rng(0)
    for i, name in enumerate(ssd.HEADS):
        kernel, bias = model.get_layer(name).get_weights()
        bias = draw.normal(-3, 2, bias.shape) if i % 2 == 0 else draw.normal(0, 1, bias.shape)
        model.get_layer(name).set_weights([draw.normal(0, 0.6, kernel.shape), bias])
    inputs = draw.uniform(-1, 1, (4, SIDE, SIDE, 3)).astype(np.float32)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content = bytes(converter.convert())
    heads = list(answers_of(content, inputs, model).values())
    ended = with_post_process(content, ssd.HEADS, levels, CLASSES, least=0.05)
    again = detections_of(ended, inputs, [(100, 50)] * 4)
    for boxes, scores, other in zip(*ssd.decode(heads, levels), again, strict=True):
        found = suppressed(boxes, scores, (100, 50), least=0.05)
        assert 5 < len(found.scores) == len(other.scores)
        np.testing.assert_allclose(found.scores, other.scores, atol=1e-5)
        # Codes make scores equal, whose order is free.
        assert _ordered(found.boxes, found.classes) == _ordered(other.boxes, other.classes)


def _ordered(boxes: np.ndarray, classes: np.ndarray) -> list[tuple[float, ...]]:
    rows = np.concatenate([boxes.round(2), classes[:, None]], axis=1)
    return sorted(tuple(float(x) for x in row) for row in rows)
