# SPDX-License-Identifier: Apache-2.0
"""Pictures with masks, from folders in VOC's format or a folder for each split."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from helpers.pictures import DataError, read_mask, read_picture

_PICTURES = (".jpg", ".jpeg", ".png")
_GREY = 127


@dataclass(frozen=True)
class Folders:
    """Where pictures and masks are.

    Attributes:
      data: folder of all.
      pictures, masks: folders within, in which "{split}" stands for a split's name.
    """

    data: Path
    pictures: str
    masks: str

    def stems(self, split: str) -> list[str]:
        """Names without endings: those that a list in ImageSets has, else all in the folder.

        Raises:
          DataError: there is neither.
        """
        for inner in ("Segmentation", "Main", ""):
            listed = self.data / "ImageSets" / inner / f"{split}.txt"
            if listed.is_file():
                return listed.read_text().split()
        folder = self.data / self.pictures.format(split=split)
        if "{split}" not in self.pictures or not folder.is_dir():
            raise DataError(
                f"{self.data} has no list ImageSets/Segmentation/{split}.txt, and there is no "
                f"folder {folder} with pictures of that split alone."
            )
        return sorted(each.stem for each in folder.iterdir() if each.suffix.lower() in _PICTURES)

    def picture(self, split: str, stem: str) -> Path:
        """Of a picture; the first of the usual endings that there is."""
        folder = self.data / self.pictures.format(split=split)
        paths = [folder / f"{stem}{ending}" for ending in _PICTURES]
        return next((path for path in paths if path.is_file()), paths[0])

    def mask(self, split: str, stem: str) -> Path:
        """Of a mask."""
        return self.data / self.masks.format(split=split) / f"{stem}.png"


def read(
    folders: Folders, split: str, size: tuple[int, int], classes: int | None, void: int, few: slice
) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """Pictures that can be read, and their masks.

    Pictures are scaled to fit, their shape kept, and filled up with grey at the right and below.

    Args:
      folders: where they are.
      split: which.
      size: height and width of the network's input.
      classes: of the masks; None to read none.
      void: index of pixels that count for nothing.
      few: which of the pictures to take.

    Returns:
      uint8 [n, height, width, 3], and masks of the scaled pictures alone, uint8.

    Raises:
      DataError: no picture can be read, or a mask that cannot.
    """
    stems = folders.stems(split)[few]
    images, masks = [], []
    for stem in stems:
        try:
            picture = read_picture(folders.picture(split, stem))
        except DataError as error:
            warnings.warn(f"Left out: {error}", stacklevel=2)
            continue
        height, width = picture.shape[:2]
        scale = min(size[0] / height, size[1] / width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        scaled = Image.fromarray(picture).resize(inner[::-1], Image.Resampling.BILINEAR)
        filled = np.full((*size, 3), _GREY, np.uint8)
        filled[: inner[0], : inner[1]] = np.asarray(scaled)
        images.append(filled)
        if classes is not None:
            masks.append(read_mask(folders.mask(split, stem), classes, void, inner))
    if not images:
        raise DataError(f"None of the {len(stems)} pictures of {split} can be read.")
    return np.stack(images), masks
