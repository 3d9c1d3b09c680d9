# SPDX-License-Identifier: Apache-2.0
"""What a detector finds, and mean average precision by VOC's and by COCO's definition."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.annotations import Annotated
from helpers.boxes import overlap


@dataclass(frozen=True)
class Detections:
    """What was found in a picture.

    Attributes:
      boxes: float32 [n, 4], corners in pixels.
      scores: float32 [n].
      classes: int64 [n].
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


def suppressed(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    size: tuple[int, int],
    least: float = 0.01,
    most_overlap: float = 0.45,
    most: int = 100,
) -> Detections:
    """The detections of a picture that no better one of their class overlaps.

    Args:
      boxes: [n, 4], corners in shares of the picture.
      scores: [n, classes].
      size: width and height of the picture in pixels.
      least: score.
      most_overlap: intersection over union.
      most: detections, over all classes.
    """
    import tensorflow as tf

    found, certain, kinds, count = tf.image.combined_non_max_suppression(
        boxes[None, :, None].astype(np.float32),
        scores[None].astype(np.float32),
        max_output_size_per_class=most,
        max_total_size=most,
        iou_threshold=most_overlap,
        score_threshold=least,
        clip_boxes=False,
    )
    n = int(count[0])
    corners = np.clip(found[0, :n].numpy(), 0.0, 1.0) * np.array([*size, *size], np.float32)
    return Detections(corners, certain[0, :n].numpy(), kinds[0, :n].numpy().astype(np.int64))


def voc_average_precisions(
    truth: Sequence[Annotated],
    found: Sequence[Detections],
    classes: int,
    least_overlap: float = 0.5,
) -> NDArray[np.float64]:
    """Average precision of each class, nan where there is nothing to be found.

    By VOC's development kit since 2010: the area below the curve of the best precision at each
    recall or beyond. A difficult object that is found counts neither way.

    Args:
      truth: pictures with their objects.
      found: detections in each.
      classes: number of them.
      least_overlap: intersection over union from which an object is found.
    """
    precisions = np.full(classes, np.nan)
    for place in range(classes):
        wanted = [each.boxes[each.classes == place] for each in truth]
        difficult = [each.difficult[each.classes == place] for each in truth]
        total = sum(int((~each).sum()) for each in difficult)
        if not total:
            continue
        claims = [
            (score, picture, box)
            for picture, each in enumerate(found)
            for box, score in zip(
                each.boxes[each.classes == place], each.scores[each.classes == place], strict=True
            )
        ]
        claims.sort(key=lambda claim: -claim[0])
        taken = [np.zeros(len(each), np.bool_) for each in wanted]
        right = []
        for _, picture, box in claims:
            if not len(wanted[picture]):
                right.append(False)
                continue
            shared = overlap(box[None], wanted[picture])[0]
            best = int(shared.argmax())
            if shared[best] < least_overlap:
                right.append(False)
            elif not difficult[picture][best]:
                right.append(not taken[picture][best])
                taken[picture][best] = True
        precisions[place] = _area(np.array(right, np.bool_), total)
    return precisions


def _area(right: NDArray[np.bool_], total: int) -> float:
    hits = np.cumsum(right)
    recall = np.concatenate([[0.0], hits / total, [1.0]])
    precision = np.concatenate([[0.0], hits / np.arange(1, len(right) + 1), [0.0]])
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * best[1:]))


def coco_mean_average_precision(
    truth: Sequence[Annotated], found: Sequence[Detections], classes: int
) -> tuple[float, float]:
    """COCO's mean average precision at overlaps of 0.5 to 0.95, and at 0.5 (pycocotools)."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    pictures = [
        {"id": i, "width": each.width, "height": each.height} for i, each in enumerate(truth)
    ]
    objects: list[dict[str, Any]] = []
    for i, each in enumerate(truth):
        for box, place, difficult in zip(each.boxes, each.classes, each.difficult, strict=True):
            width, height = (float(x) for x in box[2:] - box[:2])
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": i,
                    "category_id": int(place),
                    "bbox": [float(box[0]), float(box[1]), width, height],
                    "area": width * height,
                    "iscrowd": int(difficult),
                }
            )
    claims = [
        [i, *map(float, (*box[:2], *(box[2:] - box[:2]))), float(score), int(place)]
        for i, each in enumerate(found)
        for box, score, place in zip(each.boxes, each.scores, each.classes, strict=True)
    ]
    if not claims:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # its progress
        known = COCO()
        known.dataset = {
            "images": pictures,
            "annotations": objects,
            "categories": [{"id": place, "name": str(place)} for place in range(classes)],
        }
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(np.array(claims)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])
