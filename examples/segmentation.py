# SPDX-License-Identifier: Apache-2.0
"""Segmentation: float, stock int8 and overflow aware int8 of one network, side by side.

DeepLabv3 on MobileNetV2 learns from its own float answers, for which pictures need no masks:

    python examples/segmentation.py --data VOC --network deeplab \
        --weights deeplabv3_mnv2_dm05_pascal_keras.h5

A DeepLab-style head on MobileNetV2 is trained on masks first:

    python examples/segmentation.py --data CamVid --network mobilenet_v2 --classes 11 --void 11 \
        --pictures "{split}" --masks "{split}annot" --weights mobilenet_v2_imagenet.h5

Both .tflite files, int8 up to the logits, are scored on masks.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import flags
from helpers import command, masks  # sets TensorFlow's log level
from helpers.backbone import mobilenet_v2
from helpers.pictures import DataError
from helpers.segmentation_scores import confusion, intersection_over_union, overlaid
from helpers.side_by_side import Task
from numpy.typing import NDArray
from PIL import Image

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder in VOC's format, or with a folder a split", required=True)
flags.DEFINE_string("pictures", "JPEGImages", "folder of the pictures, within --data")
flags.DEFINE_string("masks", "SegmentationClass", "folder of the masks, within --data")
flags.DEFINE_string("train", "train", "what to train on: a list in ImageSets, or a {split}")
flags.DEFINE_string("test", "val", "what to be scored on")
flags.DEFINE_enum("network", "deeplab", ["deeplab", "mobilenet_v2"], "given, or to be trained")
flags.DEFINE_string("weights", None, "deeplab: a Keras .h5 file; mobilenet_v2: of the backbone")
flags.DEFINE_integer("classes", None, "mobilenet_v2: classes of the masks", lower_bound=2)
flags.DEFINE_integer("void", 255, "index of pixels that count for nothing")
flags.DEFINE_integer("height", 192, "mobilenet_v2: of the input, a multiple of 16", lower_bound=32)
flags.DEFINE_integer("width", 240, "mobilenet_v2: the same", lower_bound=32)
flags.DEFINE_float("float_learning_rate", 1e-3, "mobilenet_v2: of float training")
command.define_flags("build/segmentation", epochs=3, learning_rate=1e-4, batch=4, float_epochs=30)

_QUICK, _OVERLAYS = 4, 4

Judged = tuple[NDArray[np.int64], NDArray[np.uint8]]


def segmentation() -> Task:
    """The task that the flags ask for, its pictures read."""
    return deeplab() if FLAGS.network == "deeplab" else on_mobilenet_v2()


def deeplab() -> Task:
    """A given network, whose answers are enlarged outside of it."""
    if FLAGS.weights is None:
        raise DataError("--network deeplab needs --weights, a Keras .h5 file.")
    model = command.given_network("weights")
    size = (int(model.input_shape[1]), int(model.input_shape[2]))
    images = signed(read("train", size, None)[0])

    def train(network: Any) -> Any:
        return batches(images, network.predict(images, batch_size=FLAGS.batch, verbose=0))

    name = "segmentation, DeepLabv3-MobileNetV2-0.5"
    return scored(name, lambda: model, train, "mse", size, int(model.output_shape[-1]))


def on_mobilenet_v2() -> Task:
    """MobileNetV2 up to its stride of 16 with a head, trained on masks."""
    if FLAGS.classes is None:
        raise DataError("--network mobilenet_v2 needs --classes.")
    if FLAGS.height % 16 or FLAGS.width % 16:
        raise DataError("--height and --width: expected multiples of 16.")
    size, classes = (FLAGS.height, FLAGS.width), FLAGS.classes
    pictures, found = read("train", size, classes)
    images, targets = signed(pictures), np.full((len(pictures), *size), FLAGS.void, np.uint8)
    for target, mask in zip(targets, found, strict=True):
        target[: mask.shape[0], : mask.shape[1]] = mask

    def loss(truth: Any, logits: Any) -> Any:
        labels = tf.cast(truth, tf.int32)
        counted = tf.cast(labels < classes, tf.float32)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.where(labels < classes, labels, 0), logits
        )
        return tf.reduce_sum(each * counted) / tf.maximum(tf.reduce_sum(counted), 1.0)

    def train(network: Any = None) -> Any:
        del network
        return batches(images, targets).map(mirrored)

    def make() -> Any:
        weights = Path(FLAGS.weights) if FLAGS.weights else None
        return with_head(mobilenet_v2((*size, 3), weights, images[:64]), classes)

    def model() -> Any:
        return command.trained_float(make, train, loss, FLAGS.float_learning_rate)

    name = f"segmentation, {Path(FLAGS.data).name}, MobileNetV2"
    return scored(name, model, train, loss, size, classes)


def with_head(backbone: Any, classes: int) -> Any:
    """Logits at full size: context at stride 16, details at stride 8 (DeepLabv3+, 1802.02611)."""
    layers = keras.layers

    def conv(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        return layers.ReLU(6.0)(layers.BatchNormalization()(x))

    def separable(x: Any, filters: int, dilation: int = 1) -> Any:
        x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=dilation, use_bias=False)(x)
        return conv(layers.ReLU(6.0)(layers.BatchNormalization()(x)), filters)

    deep = backbone.get_layer("block_13_expand_relu").output
    context = layers.Concatenate()([conv(deep, 96), separable(deep, 96, 2), separable(deep, 96, 4)])
    context = layers.UpSampling2D(2, interpolation="bilinear")(conv(context, 96))
    details = conv(backbone.get_layer("block_6_expand_relu").output, 32)
    x = separable(layers.Concatenate()([context, details]), 96)
    x = layers.Conv2D(classes, 1)(x)
    x = layers.UpSampling2D(8, interpolation="bilinear")(x)
    return keras.Model(backbone.input, x, name="segmentation")


def scored(
    name: str, model: Any, train: Any, loss: Any, size: tuple[int, int], classes: int
) -> Task:
    """The task, with its test: logits are enlarged to the input where they are smaller."""
    pictures, truth = read("test", size, classes)

    def judged(outputs: dict[str, NDArray[np.float32]]) -> list[Judged]:
        (logits,) = outputs.values()
        found = []
        for each, mask in zip(logits, truth, strict=True):
            height, width = mask.shape
            whole = each
            if each.shape[:2] != size:
                whole = tf.compat.v1.image.resize_bilinear(each[None], size, align_corners=True)[0]
            answer = np.asarray(whole)[:height, :width].argmax(-1).astype(np.uint8)
            found.append((confusion(mask, answer, classes), answer))
        return found

    def show(method: str, found: Any) -> None:
        for i, ((_, answer), mask) in enumerate(zip(found[:_OVERLAYS], truth, strict=False)):
            height, width = mask.shape
            wanted = np.where(mask < classes, mask, 0)
            picture = pictures[i, :height, :width]
            both = [overlaid(picture, wanted), overlaid(picture, answer)]
            path = command.folder() / f"overlay_{i}_{method}.png"
            Image.fromarray(np.concatenate(both, axis=1)).save(path)

    def score(found: Any, chosen: Any) -> float:
        counts = sum(found[i][0] for i in chosen)
        return 100 * float(np.nanmean(intersection_over_union(counts)))

    return Task(
        name=name,
        metric="mIoU",
        model=model,
        train=train,
        loss=loss,
        inputs=signed(pictures),
        truth=truth,
        judged=judged,
        score=score,
        agreement=lambda first, second: float(np.mean(first[1] == second[1])),
        show=show,
    )


def read(split: str, size: tuple[int, int], classes: int | None) -> Any:
    """Pictures, and masks where `classes` are given."""
    folders = masks.Folders(Path(FLAGS.data), FLAGS.pictures, FLAGS.masks)
    name = getattr(FLAGS, split)
    return masks.read(folders, name, size, classes, FLAGS.void, command.few(_QUICK))


def signed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels as MobileNets take them, -1 to 1."""
    return pictures.astype(np.float32) / np.float32(127.5) - np.float32(1)


def batches(images: NDArray[np.float32], targets: NDArray[Any]) -> Any:
    """Pictures and what is to be answered, shuffled."""
    data = tf.data.Dataset.from_tensor_slices((images, targets))
    return data.shuffle(len(images), seed=FLAGS.seed).batch(FLAGS.batch).prefetch(2)


def mirrored(images: Any, targets: Any) -> tuple[Any, Any]:
    """A batch, or its mirror image."""
    flip = tf.random.uniform([]) < 0.5
    return (
        tf.where(flip, tf.reverse(images, [2]), images),
        tf.where(flip, tf.reverse(targets, [2]), targets),
    )


if __name__ == "__main__":
    command.run(segmentation)
