# SPDX-License-Identifier: Apache-2.0
"""Segmentation: float, stock int8 and overflow aware int8 of one network, side by side.

DeepLabv3 on MobileNetV2 learns from its own float answers, for which pictures need no masks, stock
and ours alike; both .tflite files, int8 up to the logits, are then scored on masks.

    python examples/segmentation.py --data VOC --weights deeplabv3_mnv2_dm05_pascal_keras.h5
"""

import os
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags, logging
from helpers.pictures import DataError, read_mask, read_picture
from helpers.results import printed, written
from helpers.segmentation_scores import confusion, intersection_over_union, overlaid
from helpers.side_by_side import Budget, Task, compare
from numpy.typing import NDArray
from PIL import Image

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder in VOC's format", required=True)
flags.DEFINE_string("pictures", "JPEGImages", "folder of the pictures, within --data")
flags.DEFINE_string("masks", "SegmentationClass", "folder of the masks, within --data")
flags.DEFINE_string("train", "train", "file with the names of pictures to train on, in ImageSets")
flags.DEFINE_string("test", "val", "the same of those to be scored on")
flags.DEFINE_string("weights", None, "float network of one output, a Keras .h5 file", required=True)
flags.DEFINE_integer("void", 255, "index of pixels that count for nothing")
flags.DEFINE_string("output", "build/segmentation", "folder for files, backups and pictures")
flags.DEFINE_integer("epochs", 3, "of fine-tuning, for stock and ours", lower_bound=1)
flags.DEFINE_float("learning_rate", 1e-4, "of Adam; decays to zero")
flags.DEFINE_integer("batch", 4, "pictures a step", lower_bound=1)
flags.DEFINE_integer("depth", 16, "accumulation depth T to prove", lower_bound=1)
flags.DEFINE_integer("seed", 1, "seed of everything random")
flags.DEFINE_bool("quick", False, "a few pictures, to see that it works")
flags.DEFINE_bool("write", False, "put the row into docs/results.json and docs/results.md")

_QUICK, _OVERLAYS = 4, 4
_GREY = 127

Judged = tuple[NDArray[np.int64], NDArray[np.uint8]]


def main(_: Any) -> None:
    """Runs the comparison."""
    try:
        task = deeplab()
    except (DataError, OSError, ValueError) as error:
        raise app.UsageError(str(error)) from error
    budget = Budget(
        1 if FLAGS.quick else FLAGS.epochs, FLAGS.learning_rate, FLAGS.batch, FLAGS.seed
    )
    row = compare(task, budget, Path(FLAGS.output), FLAGS.depth)
    print(printed(row))
    if FLAGS.write:
        written(row)


def deeplab() -> Task:
    """The task, its pictures read."""
    model = keras.models.load_model(FLAGS.weights, compile=False)
    side, classes = int(model.input_shape[1]), int(model.output_shape[-1])
    images, _ = pictures_of("train", side, None)
    inputs, truth = pictures_of("test", side, classes)

    def judged(outputs: dict[str, NDArray[np.float32]]) -> list[Judged]:
        (logits,) = outputs.values()
        found = []
        for each, mask in zip(logits, truth, strict=True):
            height, width = mask.shape
            whole = tf.compat.v1.image.resize_bilinear(each[None], (side, side), align_corners=True)
            answer = whole[0, :height, :width].numpy().argmax(-1).astype(np.uint8)
            found.append((confusion(mask, answer, classes), answer))
        return found

    def show(method: str, found: Any) -> None:
        for i, ((_, answer), mask) in enumerate(zip(found[:_OVERLAYS], truth, strict=False)):
            height, width = mask.shape
            picture = np.uint8(np.rint((inputs[i, :height, :width] + 1) * 127.5))
            wanted = np.where(mask < classes, mask, 0)
            both = [overlaid(picture, wanted), overlaid(picture, answer)]
            path = Path(FLAGS.output) / f"overlay_{i}_{method}.png"
            Image.fromarray(np.concatenate(both, axis=1)).save(path)

    def score(found: Any, chosen: Any) -> float:
        counts = sum(found[i][0] for i in chosen)
        return 100 * float(np.nanmean(intersection_over_union(counts)))

    targets = model.predict(images, batch_size=FLAGS.batch, verbose=0)
    return Task(
        name="segmentation, DeepLabv3-MobileNetV2-0.5",
        metric="mIoU",
        model=model,
        train=lambda: batches(images, targets),
        loss="mse",
        inputs=inputs,
        judged=judged,
        score=score,
        agreement=lambda first, second: float(np.mean(first[1] == second[1])),
        show=show,
    )


def pictures_of(
    split: str, side: int, classes: int | None
) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
    """Pictures that can be read, and their masks, unless `classes` is None.

    Pictures are scaled so that their longer side is the network's, and filled up with grey.
    """
    data = Path(FLAGS.data)
    lists = [
        data / "ImageSets" / inner / f"{getattr(FLAGS, split)}.txt"
        for inner in ("Segmentation", "")
    ]
    listed = next((path for path in lists if path.is_file()), lists[0])
    stems = listed.read_text().split()[: _QUICK if FLAGS.quick else None]
    images, masks = [], []
    for stem in stems:
        try:
            picture = read_picture(data / FLAGS.pictures / f"{stem}.jpg")
        except DataError as error:
            warnings.warn(f"Left out: {error}", stacklevel=2)
            continue
        height, width = (max(1, round(s * side / max(picture.shape))) for s in picture.shape[:2])
        scaled = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
        filled = np.full((side, side, 3), _GREY, np.uint8)
        filled[:height, :width] = scaled
        images.append(filled)
        if classes is not None:
            path = data / FLAGS.masks / f"{stem}.png"
            masks.append(read_mask(path, classes, FLAGS.void, (height, width)))
    if not images:
        raise DataError(f"None of the {len(stems)} pictures that {listed} names can be read.")
    return np.stack(images).astype(np.float32) / np.float32(127.5) - np.float32(1), masks


def batches(images: NDArray[np.float32], targets: NDArray[np.float32]) -> Any:
    """Pictures and what the float network answers, shuffled."""
    data = tf.data.Dataset.from_tensor_slices((images, targets))
    return data.shuffle(len(images), seed=FLAGS.seed).batch(FLAGS.batch).prefetch(2)


if __name__ == "__main__":
    logging.set_verbosity(logging.ERROR)
    app.run(main)
