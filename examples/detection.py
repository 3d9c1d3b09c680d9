# SPDX-License-Identifier: Apache-2.0
"""Detection: float, stock int8 and overflow aware int8 of one network, side by side.

Yolo-Fastest learns from its own float answers, for which pictures need no labels; SSDLite on
MobileNetV2 is trained on the annotations, first in float from the backbone's weights. Stock and
ours learn alike. The .tflite files, int8 up to the heads, are scored on annotated pictures.

    python examples/detection.py --data VOC --weights yolo_fastest_1_1_coco80_320.h5 \
        --names coco80_names.txt --scored voc20_names.txt
    python examples/detection.py --network ssdlite --data BCCD --names bccd_names.txt \
        --weights mobilenetv2_1.0_224_from_int8.npz --train trainval --test test
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags
from helpers import command, ssd, yolo  # sets TensorFlow's log level
from helpers.annotations import Annotated, read_coco, read_voc
from helpers.boxes import Boxes, overlap
from helpers.detection_scores import (
    Detections,
    coco_mean_average_precision,
    suppressed,
    voc_average_precisions,
)
from helpers.drawing import with_boxes
from helpers.pictures import DataError, read_picture, readable
from helpers.post_process import detections_of, with_post_process
from helpers.side_by_side import OURS, Task
from numpy.typing import NDArray
from PIL import Image

FLAGS = flags.FLAGS
flags.DEFINE_enum("network", "yolo_fastest", ["yolo_fastest", "ssdlite"], "what is to detect")
flags.DEFINE_string("data", None, "folder in VOC's format, or a COCO JSON file", required=True)
flags.DEFINE_string("pictures", "JPEGImages", "folder of the pictures, within --data")
flags.DEFINE_string("annotations", "Annotations", "folder of VOC's XML files, within --data")
flags.DEFINE_string("train", "train", "list of pictures to train on, in ImageSets")
flags.DEFINE_string("test", "val", "list of pictures to be scored on; or another COCO JSON file")
flags.DEFINE_string(
    "weights", None, "float Yolo-Fastest, a Keras .h5; or SSDLite's backbone, .h5 or .npz",
    required=True,
)  # fmt: skip
flags.DEFINE_string("names", None, "file with the network's classes, a line each", required=True)
flags.DEFINE_string("scored", None, "yolo_fastest: file with the classes that are annotated")
flags.DEFINE_integer("side", 320, "ssdlite: of its input, in pixels", lower_bound=96)
flags.DEFINE_float("float_learning_rate", 1e-3, "ssdlite: of training the float network")
command.define_flags("build/detection", epochs=10, learning_rate=1e-4, batch=8, float_epochs=24)

ANCHORS = (((115, 73), (119, 199), (242, 238)), ((12, 18), (37, 49), (52, 132)))
_QUICK, _QUICK_SIDE = 8, 160
_SHOWN = 3
_CERTAIN = 0.3
_LEAST = 0.005
_SOME = 16


def yolo_fastest() -> Task:
    """Yolo-Fastest's task, its pictures read."""
    names = command.lines("names")
    scored = command.lines("scored") if FLAGS.scored else names
    unknown = sorted(set(scored) - set(names))
    if unknown:
        raise DataError(f"--scored {FLAGS.scored} has {unknown[0]!r}, which --names lacks.")
    model = command.given_network("weights")
    _, side, _, _ = model.input_shape
    expected = 3 * (5 + len(names))
    if any(output.shape[-1] != expected for output in model.outputs):
        raise DataError(
            f"--names {FLAGS.names} has {len(names)} classes, for which the heads of "
            f"--weights {FLAGS.weights} would have {expected} channels, not "
            f"{model.outputs[0].shape[-1]}."
        )
    pictures, _ = pictures_of(FLAGS.train, scored, side)
    tested, truth = pictures_of(FLAGS.test, scored, side)
    images, inputs = (each.astype(np.float32) / np.float32(255) for each in (pictures, tested))
    columns = [names.index(name) for name in scored]

    def judged(outputs: dict[str, NDArray[np.float32]]) -> list[Detections]:
        boxes, scores = yolo.decode(list(outputs.values()), ANCHORS, side)
        return found_in(truth, boxes, scores[..., columns])

    def train(network: Any) -> Any:
        targets = network.predict(images, batch_size=FLAGS.batch, verbose=0)
        data = tf.data.Dataset.from_tensor_slices((images, tuple(targets)))
        return data.shuffle(len(images), seed=FLAGS.seed).batch(FLAGS.batch).prefetch(2)

    return Task(
        name="detection, Yolo-Fastest",
        metric="mAP@0.5, VOC's definition",
        model=lambda: model,
        train=train,
        loss="mse",
        inputs=inputs,
        truth=truth,
        judged=judged,
        score=lambda found, chosen: precision(truth, found, chosen, len(scored)),
        agreement=agreement,
        show=lambda method, found: show(method, found, truth, scored),
    )


def ssdlite() -> Task:
    """SSDLite's task, its pictures read; the float network is trained when it is asked for."""
    names = command.lines("names")
    if FLAGS.scored:
        raise DataError("--scored is for --network yolo_fastest; ssdlite learns all of --names.")
    side = min(FLAGS.side, _QUICK_SIDE) if FLAGS.quick else FLAGS.side
    if side % 32:
        raise DataError(f"--side is {side}; expected a multiple of 32.")
    if not Path(FLAGS.weights).is_file():
        raise DataError(f"There is no --weights {FLAGS.weights}; expected an .h5 or .npz file.")
    if not Path(FLAGS.data).is_dir():
        raise DataError(f"--data {FLAGS.data} is no folder; ssdlite needs one in VOC's format.")
    levels = ssd.level_anchors(side)
    pictures, known = pictures_of(FLAGS.train, names, side)
    tested, truth = pictures_of(FLAGS.test, names, side)
    loss, output = ssd.losses(len(names)), command.folder()

    def data() -> Any:
        given = ssd.examples(pictures, known, levels, len(names))
        return given.batch(FLAGS.batch).prefetch(2)

    def make() -> Any:
        return ssd.ssdlite(side, len(names), Path(FLAGS.weights), ssd.scaled(pictures[:_SOME]))

    def judged(outputs: dict[str, NDArray[np.float32]]) -> list[Detections]:
        return found_in(truth, *ssd.decode(list(outputs.values()), levels))

    def shown(method: str, found: Sequence[Detections]) -> dict[str, float]:
        figures = show(method, found, truth, names)
        if method != OURS:
            return figures
        content = (output / "ours.tflite").read_bytes()
        ended = with_post_process(content, ssd.HEADS, levels, len(names), _LEAST)
        (output / "ours_post_process.tflite").write_bytes(ended)
        again = detections_of(ended, inputs, [(each.width, each.height) for each in truth])
        pairs = zip(found, again, strict=True)
        same = 100 * np.mean([agreement(*pair, least_overlap=0.95) for pair in pairs])
        score = precision(truth, again, range(len(again)), len(names))
        print(f"ours_post_process.tflite: {same:.1f} % the same boxes, mAP@0.5 {score:.2f}")
        return figures

    inputs = ssd.scaled(tested)
    return Task(
        name=f"detection, SSDLite-MobileNetV2, {side} pixels",
        metric="mAP@0.5, VOC's definition",
        model=lambda: command.trained_float(make, data, loss, FLAGS.float_learning_rate),
        train=lambda _: data(),
        loss=loss,
        inputs=inputs,
        truth=truth,
        judged=judged,
        score=lambda found, chosen: precision(truth, found, chosen, len(names)),
        agreement=agreement,
        show=shown,
    )


def pictures_of(
    split: str, names: list[str], side: int
) -> tuple[NDArray[np.uint8], list[Annotated]]:
    """Pictures that can be read, [n, side, side, 3], and their annotations."""
    data = Path(FLAGS.data)
    if data.suffix == ".json":
        if split == FLAGS.test:
            data = Path(FLAGS.test)
        if data.suffix != ".json":
            raise DataError(f"--test is {FLAGS.test}; with --data {FLAGS.data}, expected JSON too.")
        listed = read_coco(data, data.parent / FLAGS.pictures, names)
    else:
        listed = read_voc(data, split, names, FLAGS.annotations, FLAGS.pictures)
    listed = listed[command.few(_QUICK)]
    found = list(readable([each.path for each in listed], (side, side)))
    if not found:
        raise DataError(f"None of the {len(listed)} pictures of {data} can be read.")
    annotated = [listed[place] for place, _ in found]
    if split == FLAGS.test and not any(len(each.boxes) for each in annotated):
        raise DataError(f"The {len(found)} pictures of {data} have no box to be scored on.")
    return np.stack([picture for _, picture in found]), annotated


def found_in(truth: Sequence[Annotated], boxes: Boxes, scores: Boxes) -> list[Detections]:
    """Detections of each picture: boxes [n, anchors, 4], scores [n, anchors, classes]."""
    return [
        suppressed(found, certain, (each.width, each.height), least=_LEAST)
        for found, certain, each in zip(boxes, scores, truth, strict=True)
    ]


def precision(
    truth: Sequence[Annotated], found: Sequence[Detections], chosen: Sequence[int], classes: int
) -> float:
    """VOC's mean average precision at an overlap of a half, in percent, of chosen pictures."""
    given = [[each[i] for i in chosen] for each in (truth, found)]
    return 100 * float(np.nanmean(voc_average_precisions(*given, classes)))


def agreement(
    first: Detections, second: Detections, certain: float = _CERTAIN, least_overlap: float = 0.5
) -> float:
    """F1 of what two networks are certain of: same class, and overlapping enough."""
    one, other = (each.scores >= certain for each in (first, second))
    if not one.any() and not other.any():
        return 1.0
    same = first.classes[one][:, None] == second.classes[other][None]
    pairs = (overlap(first.boxes[one], second.boxes[other]) >= least_overlap) & same
    hits = min(pairs.any(axis=1).sum(), pairs.any(axis=0).sum())
    return float(2 * hits / (one.sum() + other.sum()))


def show(
    method: str, found: Sequence[Detections], truth: Sequence[Annotated], names: Sequence[str]
) -> dict[str, float]:
    """Prints what COCO's definition says, and saves pictures: annotated left, found right."""
    mean, half = coco_mean_average_precision(truth, found, len(names))
    each = voc_average_precisions(truth, found, len(names))
    by_class = ", ".join(f"{name} {100 * x:.1f}" for name, x in zip(names, each, strict=True))
    print(f"{method}: COCO's mAP {100 * mean:.2f}, at 0.5 {100 * half:.2f}; VOC's AP {by_class}")
    for i, (wanted, given) in enumerate(zip(truth[:_SHOWN], found, strict=False)):
        picture, sure = read_picture(wanted.path), given.scores >= _CERTAIN
        pair = [
            with_boxes(picture, boxes, classes, len(names))
            for boxes, classes in (
                (wanted.boxes, wanted.classes),
                (given.boxes[sure], given.classes[sure]),
            )
        ]
        image = Image.fromarray(np.concatenate(pair, axis=1))
        image.thumbnail((960, 960))
        image.save(command.folder() / f"detection_{i}_{method}.jpg", quality=80)
    return {"COCO's mAP": 100 * mean}


def task() -> Task:
    """The task of the network that is asked for."""
    return yolo_fastest() if FLAGS.network == "yolo_fastest" else ssdlite()


if __name__ == "__main__":
    command.run(task)
