# SPDX-License-Identifier: Apache-2.0
"""Pictures and masks, and files that have something wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import DataError, read_mask, read_picture, readable
from PIL import Image


def _save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    if mode == "P":
        image = image.convert("P")
        image.putdata(array.reshape(-1).tolist())
    image.save(path)
    return path


def test_pictures_are_rgb_of_the_size_asked_for(tmp_path: Path) -> None:
    grey = _save(tmp_path / "grey.png", np.full((6, 4), 7, np.uint8))
    assert read_picture(grey).shape == (6, 4, 3)
    found = read_picture(grey, (3, 8))
    assert found.shape == (3, 8, 3)
    assert (found == 7).all()


@pytest.mark.parametrize("mode", ["L", "P"])
def test_masks_keep_their_indices(tmp_path: Path, mode: str) -> None:
    given = np.array([[0, 1], [2, 255]], np.uint8)
    path = _save(tmp_path / "mask.png", given, mode)
    np.testing.assert_array_equal(read_mask(path, 3, 255), given)
    large = read_mask(path, 3, 255, (4, 4))
    np.testing.assert_array_equal(large, given.repeat(2, 0).repeat(2, 1))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = _save(tmp_path / "whole.jpg", np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:200])
    for name in ("text.jpg", "cut.jpg"):
        with pytest.raises(DataError, match=f"picture .*{name} cannot be read"):
            read_picture(tmp_path / name)
        with pytest.raises(DataError, match=f"mask .*{name} cannot be read"):
            read_mask(tmp_path / name, 2, 255)
    with pytest.raises(DataError, match=r"no picture .*none\.jpg"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(DataError, match=r"no mask .*none\.png"):
        read_mask(tmp_path / "none.png", 2, 255)


def test_masks_that_are_none_are_refused(tmp_path: Path) -> None:
    coloured = _save(tmp_path / "coloured.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DataError, match=r"coloured\.png has the mode RGB"):
        read_mask(coloured, 2, 255)
    wrong = _save(tmp_path / "wrong.png", np.array([[0, 5]], np.uint8))
    with pytest.raises(DataError, match=r"wrong\.png holds the class 5; expected 0 to 4, or 255"):
        read_mask(wrong, 5, 255)


def test_a_set_goes_on_without_what_cannot_be_read(tmp_path: Path) -> None:
    paths = [_save(tmp_path / f"{i}.png", np.full((2, 2), i, np.uint8)) for i in range(3)]
    paths[1].write_text("broken")
    with pytest.warns(UserWarning, match=r"Left out: The picture .*1\.png"):
        found = dict(readable(paths, (2, 2)))
    assert list(found) == [0, 2]
    assert (found[2] == 2).all()
