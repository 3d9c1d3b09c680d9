# SPDX-License-Identifier: Apache-2.0
"""SSDLite on MobileNetV2 (Sandler et al., arXiv 1801.04381): network, targets, losses, decoding.

A level is a feature map with its anchors. Each has two outputs: classes [batch, rows, columns,
anchors * classes], logits of one sigmoid a class without background; and boxes [..., anchors * 4],
codes of centre y, centre x, height, width as TFLite_Detection_PostProcess takes them.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

from helpers.annotations import Annotated
from helpers.backbone import mobilenet_v2
from helpers.boxes import Boxes, anchors, decoded, encoded, matched

LEVELS = {16: (0.07, 0.115, 0.18), 32: (0.28, 0.42), 64: (0.6, 0.85)}
"""Scales of the anchors, as shares of the picture's side, by the level's stride in pixels."""
RATIOS = (0.5, 1.0, 2.0)
"""Width by height of the anchors of each scale."""
HEADS = [f"{kind}_{stride}" for stride in LEVELS for kind in ("classes", "boxes")]
"""Names of the outputs, in their order."""

_CODE_ORDER = [1, 0, 3, 2]
_RARE = 0.01  # chance of an object that classes begin with (arXiv 1708.02002)
_MOMENTUM = 0.9  # 0.999, the backbone's, follows none but long trainings


def ssdlite(
    side: int,
    classes: int,
    weights: Path | None = None,
    pictures: NDArray[np.float32] | None = None,
) -> Any:
    """The float tf_keras network; inputs are [side, side, 3] in [-1, 1].

    Args:
      side: of the picture in pixels, a multiple of 32.
      classes: number of them.
      weights: of the backbone, as `mobilenet_v2` takes them.
      pictures: some inputs, for statistics where the weights have none.

    Raises:
      DataError: the file has not the backbone's weights.
    """
    backbone = mobilenet_v2((side, side, 3), weights, pictures)
    maps = {16: backbone.get_layer("block_13_expand_relu").output, 32: backbone.output}
    x = _convolution(backbone.output, 256, "extra_reduce")
    x = _depthwise(x, 2, "extra_depthwise")
    maps[64] = _convolution(x, 512, "extra_expand")
    outputs = []
    for stride, x in maps.items():
        count = len(LEVELS[stride]) * len(RATIOS)
        for kind, channels, start in (
            ("classes", count * classes, math.log(_RARE / (1 - _RARE))),
            ("boxes", count * 4, 0.0),
        ):
            name = f"{kind}_{stride}"
            head = keras.layers.Conv2D(
                channels, 1, bias_initializer=keras.initializers.Constant(start), name=name
            )
            outputs.append(head(_depthwise(x, 1, f"{name}_depthwise")))
    model = keras.Model(backbone.input, outputs, name="ssdlite_mobilenet_v2")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    return model


def _convolution(x: Any, filters: int, name: str) -> Any:
    layer = keras.layers.Conv2D(filters, 1, use_bias=False, name=name)
    return _normalized(layer(x), name)


def _depthwise(x: Any, strides: int, name: str) -> Any:
    layer = keras.layers.DepthwiseConv2D(3, strides, "same", use_bias=False, name=name)
    return _normalized(layer(x), name)


def _normalized(x: Any, name: str) -> Any:
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


def level_anchors(side: int) -> list[Boxes]:
    """Anchors of each level: [rows * columns * anchors of a cell, 4], centres and sizes."""
    found = []
    for stride, scales in LEVELS.items():
        cells = math.ceil(side / stride)
        of_scales = [anchors((cells, cells), scale, RATIOS) for scale in scales]
        by_cell = [each.reshape(cells * cells, -1, 4) for each in of_scales]
        found.append(np.concatenate(by_cell, axis=1).reshape(-1, 4))
    return found


def targets(
    boxes: Boxes, kinds: NDArray[np.int64], levels: Sequence[Boxes], classes: int
) -> list[NDArray[np.float32]]:
    """What the outputs are to learn of a picture.

    Args:
      boxes: [objects, 4], corners in shares of the picture.
      kinds: [objects], their classes.
      levels: anchors of each level.
      classes: number of classes.

    Returns:
      For each level [anchors, classes + 1], a one for the class and the weight, and [anchors, 5],
      codes and the weight. An object's anchors share its weight, the picture's objects a weight of
      one; from an overlap of 0.4 to one of 0.5 an anchor is neither object nor background.
    """
    at = np.concatenate(levels)
    place, found = matched(boxes, at, 0.5)
    _, near = matched(boxes, at, 0.4)
    labels = np.zeros((len(at), classes + 1), np.float32)
    codes = np.zeros((len(at), 5), np.float32)
    labels[:, -1] = np.where(near, 0, 1 / max(1, found.sum()))
    if found.any():
        counts = np.bincount(place[found])[place[found]]
        labels[found, kinds[place[found]]] = 1
        labels[found, -1] = codes[found, 4] = 1 / (len(boxes) * counts)
        codes[found, :4] = encoded(boxes[place[found]], at[found])[:, _CODE_ORDER]
    ends = np.cumsum([len(each) for each in levels])[:-1]
    pairs = zip(np.split(labels, ends), np.split(codes, ends), strict=True)
    return [each for pair in pairs for each in pair]


def flipped(boxes: Boxes, horizontal: bool, vertical: bool) -> Boxes:
    """Boxes [n, 4], corners in shares of the picture, of the picture's mirror image."""
    left, top, right, bottom = boxes.T
    if horizontal:
        left, right = 1 - right, 1 - left
    if vertical:
        top, bottom = 1 - bottom, 1 - top
    return np.stack([left, top, right, bottom], axis=1)


def losses(classes: int) -> list[Any]:
    """A loss for each output: focal for classes, Huber's for boxes, a sum over anchors.

    Focal loss: alpha 0.25, gamma 2 (Lin et al., arXiv 1708.02002).
    """

    def focal(wanted: Any, given: Any) -> Any:
        logits = tf.reshape(given, [tf.shape(given)[0], -1, classes])
        labels, weights = wanted[..., :-1], wanted[..., -1:]
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        missed = tf.abs(labels - tf.sigmoid(logits))
        share = 0.25 * labels + 0.75 * (1 - labels)
        return tf.reduce_sum(weights * share * missed**2 * entropy, axis=(1, 2))

    def huber(wanted: Any, given: Any) -> Any:
        codes = tf.reshape(given, [tf.shape(given)[0], -1, 4])
        gone = tf.abs(codes - wanted[..., :4])
        each = tf.where(gone < 1, 0.5 * gone**2, gone - 0.5)
        return tf.reduce_sum(wanted[..., 4:] * each, axis=(1, 2))

    return [focal, huber] * len(LEVELS)


def examples(
    pictures: NDArray[np.uint8], known: Sequence[Annotated], levels: Sequence[Boxes], classes: int
) -> Any:
    """Inputs and targets of pictures, shuffled and mirrored at random: a tf.data.Dataset.

    Args:
      pictures: [n, side, side, 3].
      known: their annotations.
      levels: anchors of each level.
      classes: number of classes.
    """

    def example(place: int, horizontal: bool, vertical: bool) -> list[NDArray[np.float32]]:
        picture = pictures[place, :: -1 if vertical else 1, :: -1 if horizontal else 1]
        each = known[place]
        shares = each.boxes / np.array([each.width, each.height] * 2, np.float32)
        boxes = flipped(np.asarray(shares, np.float32), horizontal, vertical)
        return [scaled(picture), *targets(boxes, each.classes, levels, classes)]

    def traced(place: Any) -> Any:
        horizontal, vertical = (tf.random.uniform([]) < 0.5 for _ in range(2))
        kinds = [tf.float32] * (1 + 2 * len(levels))
        picture, *wanted = tf.numpy_function(example, [place, horizontal, vertical], kinds)
        picture.set_shape(pictures.shape[1:])
        for i, each in enumerate(wanted):
            each.set_shape((len(levels[i // 2]), (classes + 1, 5)[i % 2]))
        return picture, tuple(wanted)

    return tf.data.Dataset.range(len(pictures)).shuffle(len(pictures)).map(traced)


def scaled(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """As the network takes them."""
    return np.asarray(pictures / np.float32(127.5) - np.float32(1), np.float32)


def decode(
    heads: Sequence[NDArray[np.float32]], levels: Sequence[Boxes]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes and scores of a batch.

    Args:
      heads: the network's outputs.
      levels: anchors of each level.

    Returns:
      Boxes [batch, anchors, 4], corners in shares of the picture, and scores [batch, anchors,
      classes].
    """
    batch = len(heads[0])
    logits = [x.reshape(batch, len(at), -1) for x, at in zip(heads[::2], levels, strict=True)]
    codes = np.concatenate([x.reshape(batch, -1, 4) for x in heads[1::2]], axis=1)
    scores = 1 / (1 + np.exp(-np.concatenate(logits, axis=1)))
    return decoded(codes[..., _CODE_ORDER], np.concatenate(levels)), scores.astype(np.float32)
