# SPDX-License-Identifier: Apache-2.0
"""Pictures with masks, in VOC's format and in a folder for each split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.masks import Folders, read
from helpers.pictures import DataError
from PIL import Image

VOID = 255


def _data(folder: Path, pictures: str, masks: str) -> Folders:
    for inner, size in ((pictures, (2, 4, 3)), (masks, (2, 4))):
        (folder / inner).mkdir(parents=True)
        for stem in "ab":
            pixels = np.full(size, 1, np.uint8)
            Image.fromarray(pixels).save(folder / inner / f"{stem}.png")
    return Folders(folder, pictures, masks)


def test_lists_come_first(tmp_path: Path) -> None:
    folders = _data(tmp_path, "JPEGImages", "Masks")
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("b\n")
    assert folders.stems("val") == ["b"]
    with pytest.raises(DataError, match=r"no list ImageSets/Segmentation/train\.txt"):
        folders.stems("train")


def test_a_folder_for_each_split(tmp_path: Path) -> None:
    _data(tmp_path, "val", "valannot")
    folders = Folders(tmp_path, "{split}", "{split}annot")
    assert folders.stems("val") == ["a", "b"]
    images, masks = read(folders, "val", (4, 4), 3, VOID, slice(None))
    assert images.shape == (2, 4, 4, 3)
    # A picture twice as wide as high fills the upper half; its mask is of that half alone.
    assert (images[:, :2] == 1).all()
    assert (images[:, 2:] == 127).all()
    assert [mask.shape for mask in masks] == [(2, 4), (2, 4)]
    assert read(folders, "val", (4, 4), None, VOID, slice(1))[1] == []


def test_pictures_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    _data(tmp_path, "val", "valannot")
    folders = Folders(tmp_path, "{split}", "{split}annot")
    (tmp_path / "val" / "a.png").write_text("broken")
    with pytest.warns(UserWarning, match=r"Left out: .*a\.png"):
        images, masks = read(folders, "val", (4, 4), 3, VOID, slice(None))
    assert len(images) == len(masks) == 1
    (tmp_path / "val" / "b.png").write_text("broken")
    with pytest.warns(UserWarning, match="Left out"), pytest.raises(DataError, match="None of"):
        read(folders, "val", (4, 4), 3, VOID, slice(None))
