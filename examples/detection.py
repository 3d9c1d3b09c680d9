# SPDX-License-Identifier: Apache-2.0
"""Detection: float, stock int8 and overflow aware int8 of one network, side by side.

Yolo-Fastest learns from its own float answers, for which pictures need no labels, stock and ours
alike; both .tflite files, int8 up to the heads, are then scored on annotated pictures.

    python examples/detection.py --data VOC --weights yolo_fastest_1_1_coco80_320.h5 \
        --names coco80_names.txt --scored voc20_names.txt
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags, logging
from helpers import yolo
from helpers.annotations import Annotated, read_coco, read_voc
from helpers.boxes import overlap
from helpers.detection_scores import Detections, suppressed, voc_average_precisions
from helpers.pictures import DataError, readable
from helpers.results import printed, written
from helpers.side_by_side import Budget, Task, compare
from numpy.typing import NDArray

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder in VOC's format, or a COCO JSON file", required=True)
flags.DEFINE_string("pictures", "JPEGImages", "folder of the pictures, within --data")
flags.DEFINE_string("annotations", "Annotations", "folder of VOC's XML files, within --data")
flags.DEFINE_string("train", "train", "list of pictures to train on, in ImageSets")
flags.DEFINE_string("test", "val", "list of pictures to be scored on")
flags.DEFINE_string("weights", None, "float Yolo-Fastest, a Keras .h5 file", required=True)
flags.DEFINE_string("names", None, "file with the network's classes, a line each", required=True)
flags.DEFINE_string("scored", None, "file with the classes that are annotated; default: --names")
flags.DEFINE_string("output", "build/detection", "folder for files, backups and figures")
flags.DEFINE_integer("epochs", 10, "of fine-tuning, for stock and ours", lower_bound=1)
flags.DEFINE_float("learning_rate", 1e-4, "of Adam; decays to zero")
flags.DEFINE_integer("batch", 8, "pictures a step", lower_bound=1)
flags.DEFINE_integer("depth", 16, "accumulation depth T to prove", lower_bound=1)
flags.DEFINE_integer("seed", 1, "seed of everything random")
flags.DEFINE_bool("quick", False, "a few pictures, to see that it works")
flags.DEFINE_bool("write", False, "put the row into docs/results.json and docs/results.md")

ANCHORS = (((115, 73), (119, 199), (242, 238)), ((12, 18), (37, 49), (52, 132)))
_QUICK = 8
_CERTAIN = 0.3


def main(_: Any) -> None:
    """Runs the comparison."""
    try:
        task = yolo_fastest()
    except (DataError, OSError, ValueError) as error:
        raise app.UsageError(str(error)) from error
    budget = Budget(
        1 if FLAGS.quick else FLAGS.epochs, FLAGS.learning_rate, FLAGS.batch, FLAGS.seed
    )
    row = compare(task, budget, Path(FLAGS.output), FLAGS.depth)
    print(printed(row))
    if FLAGS.write:
        written(row)


def yolo_fastest() -> Task:
    """The task, its pictures read."""
    names = _lines(FLAGS.names)
    scored = _lines(FLAGS.scored) if FLAGS.scored else names
    unknown = sorted(set(scored) - set(names))
    if unknown:
        raise DataError(f"--scored {FLAGS.scored} has {unknown[0]!r}, which --names lacks.")
    model = keras.models.load_model(FLAGS.weights, compile=False)
    _, side, _, _ = model.input_shape
    expected = 3 * (5 + len(names))
    if any(output.shape[-1] != expected for output in model.outputs):
        raise DataError(
            f"--names {FLAGS.names} has {len(names)} classes, for which the heads of "
            f"--weights {FLAGS.weights} would have {expected} channels, not "
            f"{model.outputs[0].shape[-1]}."
        )
    pictures = {
        split: pictures_of(getattr(FLAGS, split), scored, side) for split in ("train", "test")
    }
    (images, _), (inputs, truth) = pictures["train"], pictures["test"]
    columns = [names.index(name) for name in scored]

    def judged(outputs: dict[str, NDArray[np.float32]]) -> list[Detections]:
        boxes, scores = yolo.decode(list(outputs.values()), ANCHORS, side)
        return [
            suppressed(found, certain[:, columns], (each.width, each.height), least=0.005)
            for found, certain, each in zip(boxes, scores, truth, strict=True)
        ]

    def score(found: Any, chosen: Any) -> float:
        precisions = voc_average_precisions(
            [truth[i] for i in chosen], [found[i] for i in chosen], len(scored)
        )
        return 100 * float(np.nanmean(precisions))

    targets = model.predict(images, batch_size=FLAGS.batch, verbose=0)
    return Task(
        name="detection, Yolo-Fastest",
        metric="mAP@0.5, VOC's definition",
        model=model,
        train=lambda: batches(images, targets),
        loss="mse",
        inputs=inputs,
        judged=judged,
        score=score,
        agreement=agreement,
    )


def pictures_of(
    split: str, names: list[str], side: int
) -> tuple[NDArray[np.float32], list[Annotated]]:
    """Inputs of the network and the annotations of pictures that can be read."""
    data = Path(FLAGS.data)
    if data.suffix == ".json":
        listed = read_coco(data, data.parent / FLAGS.pictures, names)
    else:
        listed = read_voc(data, split, names, FLAGS.annotations, FLAGS.pictures)
    listed = listed[: _QUICK if FLAGS.quick else None]
    found = list(readable([each.path for each in listed], (side, side)))
    if not found:
        raise DataError(f"None of the {len(listed)} pictures of {data} can be read.")
    images = np.stack([picture for _, picture in found]).astype(np.float32) / np.float32(255)
    return images, [listed[place] for place, _ in found]


def batches(images: NDArray[np.float32], targets: list[NDArray[np.float32]]) -> Any:
    """Pictures and what the float network answers, shuffled."""
    data = tf.data.Dataset.from_tensor_slices((images, tuple(targets)))
    return data.shuffle(len(images), seed=FLAGS.seed).batch(FLAGS.batch).prefetch(2)


def agreement(first: Detections, second: Detections) -> float:
    """F1 of what two networks are certain of: same class, overlap of a half at least."""
    one, other = (each.scores >= _CERTAIN for each in (first, second))
    if not one.any() and not other.any():
        return 1.0
    same = first.classes[one][:, None] == second.classes[other][None]
    pairs = (overlap(first.boxes[one], second.boxes[other]) >= 0.5) & same
    hits = min(pairs.any(axis=1).sum(), pairs.any(axis=0).sum())
    return float(2 * hits / (one.sum() + other.sum()))


def _lines(path: str) -> list[str]:
    found = [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
    if not found:
        raise DataError(f"{path} is empty; expected the name of a class in each line.")
    return found


if __name__ == "__main__":
    logging.set_verbosity(logging.ERROR)
    app.run(main)
