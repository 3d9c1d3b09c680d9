# SPDX-License-Identifier: Apache-2.0
"""VOC's XML and COCO's JSON, and files that have something wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.annotations import read_coco, read_voc
from helpers.pictures import DataError

NAMES = ("cat", "dog")
OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
XML = (
    "<annotation><filename>{}</filename><size><width>40</width><height>30</height></size>{}"
    "</annotation>"
)


def _voc(folder: Path, *objects: tuple[Any, ...], **written: str) -> Path:
    for inner in ("Annotations", "ImageSets/Main"):
        (folder / inner).mkdir(parents=True)
    text = XML.format("a.jpg", "".join(OBJECT.format(*each) for each in objects))
    (folder / "Annotations" / "a.xml").write_text(written.get("xml", text))
    (folder / "ImageSets" / "Main" / "train.txt").write_text(written.get("list", "a\n\n"))
    return folder


def test_voc(tmp_path: Path) -> None:
    folder = _voc(tmp_path, ("dog", 1, 1, 2, 11, 12), ("cat", 0, 0, 0, 40, 30))
    (found,) = read_voc(folder, "train", NAMES)
    assert found.path == folder / "JPEGImages" / "a.jpg"
    assert (found.width, found.height) == (40, 30)
    assert found.boxes.tolist() == [[1, 2, 11, 12], [0, 0, 40, 30]]
    assert found.classes.tolist() == [1, 0]
    assert found.difficult.tolist() == [True, False]


def test_pictures_without_objects_are_kept(tmp_path: Path) -> None:
    (found,) = read_voc(_voc(tmp_path), "train", NAMES)
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 9, 5, 5), ("nan", 1, 5, 5)])
def test_boxes_without_an_area_are_left_out(tmp_path: Path, box: tuple[Any, ...]) -> None:
    folder = _voc(tmp_path, ("cat", 0, *box), ("dog", 0, 1, 1, 2, 2))
    with pytest.warns(UserWarning, match=r"a box without an area.*a\.xml"):
        (found,) = read_voc(folder, "train", NAMES)
    assert found.classes.tolist() == [1]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"xml": "<annotation>"}, r"a\.xml cannot be read"),
        (
            {"xml": XML.format("a.jpg", OBJECT.format("cow", 0, 1, 1, 2, 2))},
            r"a\.xml has the class 'cow'",
        ),
        ({"xml": XML.format("a.jpg", OBJECT.format("cat", 0, "x", 1, 2, 2))}, r"a\.xml cannot be"),
        ({"xml": "<annotation/>"}, r"a\.xml cannot be read"),
        ({"list": "a\nb\n"}, r"b\.xml cannot be read"),
        ({"list": "\n"}, r"train\.txt is empty"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, written: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_voc(_voc(tmp_path, **written), "train", NAMES)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The list .*test\.txt cannot be read"):
        read_voc(_voc(tmp_path), "test", NAMES)


COCO: dict[str, Any] = {
    "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 9, "name": "cow"}],
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 20]},
        {"id": 2, "image_id": 1, "category_id": 7, "bbox": [0, 0, 4, 4], "iscrowd": 1},
        {"id": 3, "image_id": 1, "category_id": 9, "bbox": [0, 0, 4, 4]},
    ],
}


def _coco(folder: Path, **changes: Any) -> Path:
    path = folder / "instances.json"
    path.write_text(json.dumps({**COCO, **changes}))
    return path


def test_coco(tmp_path: Path) -> None:
    (found,) = read_coco(_coco(tmp_path), tmp_path, NAMES)
    assert found.path == tmp_path / "a.jpg"
    assert found.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 4, 4]]
    assert found.classes.tolist() == [0, 1]
    assert found.difficult.tolist() == [False, True]
    (found,) = read_coco(_coco(tmp_path), tmp_path)
    assert found.classes.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotations": [{"id": 5, "image_id": 2, "category_id": 3, "bbox": [0, 0, 1, 1]}]}, "5"),
        ({"annotations": [{"id": 5, "image_id": 1, "category_id": 4, "bbox": [0, 0, 1, 1]}]}, "5"),
        (
            {"annotations": [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [0, 0]}]},
            "cannot be",
        ),
        ({"images": [{"id": 1}]}, "cannot be read"),
        ({"images": [{**COCO["images"][0], "width": 0}]}, "0 x 30 pixels"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as raised:
        read_coco(_coco(tmp_path, **changes), tmp_path, NAMES)
    assert "instances.json" in str(raised.value)


def test_text_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "none.json"):
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            read_coco(tmp_path / name, tmp_path)
