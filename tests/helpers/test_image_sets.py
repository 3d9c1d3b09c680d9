# SPDX-License-Identifier: Apache-2.0
"""Labelled images: arrays, and folders of a class each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from helpers.image_sets import read_folders, read_npz
from helpers.pictures import DataError
from PIL import Image


def _archive(path: Path, **arrays: Any) -> Path:
    x, y = np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int64)
    given = {"x_train": x, "y_train": y, "x_test": x, "y_test": y, **arrays}
    np.savez(path, **{name: array for name, array in given.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_test": None}, "x_test"),
        ({"x_train": np.zeros((4, 8, 8), np.uint8)}, r"\(4, 8, 8\)"),
        ({"y_train": np.zeros(3, int)}, r"\(3,\)"),
        ({"y_test": np.full(4, -1)}, "class indices"),
        ({"x_test": np.zeros((4, 9, 9, 1), np.uint8)}, r"\(9, 9, 1\)"),
        ({"x_train": np.full((4, 8, 8, 1), np.nan)}, "finite"),
    ],
)
def test_unusable_arrays_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = _archive(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataError, match=message) as raised:
        read_npz(path)
    assert str(path) in str(raised.value)


def test_some_are_spread_evenly(tmp_path: Path) -> None:
    images = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)
    train, _ = read_npz(_archive(tmp_path / "a.npz", x_train=images, y_train=np.arange(9),
                                 x_test=images, y_test=np.arange(9)))  # fmt: skip
    assert train.some(None) is train
    few = train.some(3)
    assert few.labels.tolist() == [0, 4, 8]
    assert np.asarray(few.images).ravel().tolist() == [0, 4, 8]


def _folders(folder: Path) -> None:
    for split, level in (("train", 10), ("val", 20)):
        for place, name in enumerate(("b", "a")):
            (folder / split / name).mkdir(parents=True)
            for i in range(2):
                pixels = np.full((4, 6, 3), level + 2 * place + i, np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")


def test_folders_are_classes(tmp_path: Path) -> None:
    _folders(tmp_path)
    train, test = read_folders(tmp_path, (2, 3))
    assert train.labels.tolist() == test.labels.tolist() == [0, 0, 1, 1]
    assert [int(image[0, 0, 0]) for image in train.images] == [12, 13, 10, 11]
    assert train.images[0].shape == (2, 3, 3)
    named, _ = read_folders(tmp_path, (2, 3), ["b", "c", "a"])
    assert named.labels.tolist() == [2, 2, 0, 0]


def test_datasets_give_each_image_its_target(tmp_path: Path) -> None:
    _folders(tmp_path)
    train, _ = read_folders(tmp_path, (2, 3))
    data = train.dataset(np.array([2.0, 3.0, 0.0, 1.0]), seed=1)
    assert int(data.cardinality()) == 4
    found = sorted((int(image[0, 0, 0]), float(target)) for image, target in data)
    assert found == [(10, 0.0), (11, 1.0), (12, 2.0), (13, 3.0)]


def test_damaged_pictures_are_grey_and_named(tmp_path: Path) -> None:
    _folders(tmp_path)
    (tmp_path / "train" / "a" / "1.png").write_text("broken")
    train, _ = read_folders(tmp_path, (2, 3))
    with pytest.warns(UserWarning, match=r"Grey instead: .*1\.png"):
        assert (train.images[1] == 127).all()


@pytest.mark.parametrize(
    ("names", "missing", "message"),
    [
        (["a"], None, "is of no class"),
        (None, "val", "has no folders"),
        (None, "train/a", "has no folder with pictures"),
    ],
)
def test_unusable_folders_are_named(
    tmp_path: Path, names: list[str] | None, missing: str | None, message: str
) -> None:
    _folders(tmp_path)
    if missing == "val":
        (tmp_path / "val").rename(tmp_path / "other")
    elif missing:
        for picture in (tmp_path / "train").glob("*/*.png"):
            picture.unlink()
    with pytest.raises(DataError, match=message):
        read_folders(tmp_path, (2, 3), names)
