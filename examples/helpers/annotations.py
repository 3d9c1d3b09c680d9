# SPDX-License-Identifier: Apache-2.0
"""Boxes of pictures, from VOC's XML files or COCO's JSON."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from helpers.pictures import DataError


@dataclass(frozen=True)
class Annotated:
    """A picture and its objects.

    Attributes:
      path: of the picture.
      width, height: in pixels.
      boxes: float32 [objects, 4], left, top, right, bottom in pixels.
      classes: int64 [objects], places in the list of names.
      difficult: bool [objects], objects that count neither for nor against a detector.
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    difficult: NDArray[np.bool_]


def read_voc(
    folder: Path,
    split: str,
    names: Sequence[str],
    annotations: str = "Annotations",
    pictures: str = "JPEGImages",
) -> list[Annotated]:
    """A split of a folder in VOC's format.

    Objects without an area are left out with a warning; pictures without objects are kept.

    Args:
      folder: with `annotations`, `pictures` and ImageSets/Main, or ImageSets alone.
      split: name of a list in there, without its ending.
      names: of the classes.
      annotations: name of the folder of XML files.
      pictures: name of the folder of pictures.

    Raises:
      DataError: a file that is missing or damaged, or a class that is not among the names.
    """
    lists = [folder / "ImageSets" / inner / f"{split}.txt" for inner in ("Main", "")]
    listed = next((path for path in lists if path.is_file()), lists[0])
    try:
        stems = [line.split()[0] for line in listed.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"The list {listed} cannot be read: {error}.") from error
    if not stems:
        raise DataError(f"The list {listed} is empty; expected the name of a picture in each line.")
    places = {name: place for place, name in enumerate(names)}
    return [
        _read_xml(folder / annotations / f"{stem}.xml", folder / pictures, stem, places)
        for stem in stems
    ]


def _read_xml(path: Path, pictures: Path, stem: str, places: dict[str, int]) -> Annotated:
    try:
        root = ET.parse(path).getroot()
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        objects = [
            (
                [float(each.findtext(f"bndbox/{side}", "")) for side in _SIDES],
                each.findtext("name", ""),
                each.findtext("difficult", "0") == "1",
            )
            for each in root.iter("object")
        ]
    except (OSError, ET.ParseError, ValueError) as error:
        raise DataError(f"The annotation {path} cannot be read: {error}.") from error
    for _, name, _ in objects:
        if name not in places:
            raise DataError(
                f"The annotation {path} has the class {name!r}; expected one of "
                f"{', '.join(places)}."
            )
    named = [(box, places[name], difficult) for box, name, difficult in objects]
    picture = pictures / (root.findtext("filename") or f"{stem}.jpg")
    if not picture.suffix:
        picture = picture.with_suffix(".jpg")
    return _annotated(path, picture, (width, height), named)


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_coco(path: Path, pictures: Path, names: Sequence[str] | None = None) -> list[Annotated]:
    """Pictures and boxes of a COCO JSON file; crowds count as difficult.

    Args:
      path: such as instances_val2017.json.
      pictures: folder of its pictures.
      names: of the classes to take, in the order that places are to have; all by default, in the
        file's.

    Raises:
      DataError: a file that is missing or damaged, or a box of an unknown picture or class.
    """
    try:
        given = json.loads(path.read_text())
        kinds = {each["id"]: each["name"] for each in given["categories"]}
        sizes = {each["id"]: each for each in given["images"]}
        boxes: dict[Any, list[Any]] = {number: [] for number in sizes}
        wanted = list(names if names is not None else kinds.values())
        unknown = sorted(set(wanted) - set(kinds.values()))
        if unknown:
            raise DataError(f"{path} has no category {unknown[0]!r}.")
        for each in given["annotations"]:
            if each["image_id"] not in sizes or each["category_id"] not in kinds:
                raise DataError(
                    f"{path}: the annotation {each.get('id')} is of image {each['image_id']} and "
                    f"category {each['category_id']}, of which one is not in the file."
                )
            name = kinds[each["category_id"]]
            if name in wanted:
                left, top, width, height = map(float, each["bbox"])
                box = [left, top, left + width, top + height]
                crowd = bool(each.get("iscrowd", 0))
                boxes[each["image_id"]].append((box, wanted.index(name), crowd))
        return [
            _annotated(
                f"{path} ({image['file_name']})",
                pictures / image["file_name"],
                (int(image["width"]), int(image["height"])),
                boxes[number],
            )
            for number, image in sizes.items()
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"The annotations {path} cannot be read: {error!r}.") from error


def _annotated(
    where: Any, picture: Path, size: tuple[int, int], objects: list[tuple[list[float], int, bool]]
) -> Annotated:
    width, height = size
    if width < 1 or height < 1:
        raise DataError(f"{where} says that its picture has {width} x {height} pixels.")
    kept = []
    for box, place, difficult in objects:
        left, top, right, bottom = box
        if not (right > left and bottom > top and np.isfinite(box).all()):
            warnings.warn(f"Left out: a box without an area, {box}, in {where}.", stacklevel=4)
            continue
        kept.append((box, place, difficult))
    return Annotated(
        picture,
        width,
        height,
        np.array([box for box, _, _ in kept], np.float32).reshape(-1, 4),
        np.array([place for _, place, _ in kept], np.int64),
        np.array([difficult for _, _, difficult in kept], np.bool_),
    )
