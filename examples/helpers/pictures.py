# SPDX-License-Identifier: Apache-2.0
"""Reads pictures and masks; what cannot be read is said with the file's name."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class DataError(Exception):
    """Data that cannot be used; the message names the file and says what was expected."""


def read_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture in RGB.

    Args:
      path: of a picture that Pillow reads.
      size: (height, width) to squash it to, bilinear; None to leave it.

    Returns:
      uint8 [height, width, 3].

    Raises:
      DataError: there is none, or it is damaged.
    """
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"There is no picture {path}.") from None
    except Exception as error:  # Pillow raises many kinds for damaged files, SyntaxError too
        raise DataError(f"The picture {path} cannot be read: {error}.") from error
    if size is not None:
        picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8)


def read_mask(
    path: Path, classes: int, void: int, size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """A mask of class indices: a PNG with a palette, or of one channel.

    Args:
      path: of the mask.
      classes: indices are 0 to classes - 1, or `void`.
      void: index of pixels that count for nothing.
      size: (height, width) to bring it to, by the nearest pixel; None to leave it.

    Returns:
      uint8 [height, width].

    Raises:
      DataError: there is none, it is damaged or has colours, or an index out of range.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            mask = image.copy()
    except FileNotFoundError:
        raise DataError(f"There is no mask {path}.") from None
    except Exception as error:  # as above
        raise DataError(f"The mask {path} cannot be read: {error}.") from error
    if mode not in ("L", "P"):
        raise DataError(
            f"The mask {path} has the mode {mode}; expected class indices, a PNG with a palette or "
            "one channel."
        )
    if size is not None:
        mask = mask.resize(size[::-1], Image.Resampling.NEAREST)
    indices = np.asarray(mask, np.uint8)
    wrong = indices[(indices >= classes) & (indices != void)]
    if wrong.size:
        raise DataError(
            f"The mask {path} holds the class {wrong[0]}; expected 0 to {classes - 1}, or {void} "
            "for pixels that count for nothing."
        )
    return indices


def readable(
    paths: Iterable[Path], size: tuple[int, int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Pictures that can be read, with their places in the list; others are left out and warned of.

    Args:
      paths: of pictures.
      size: (height, width) to squash them to.
    """
    for place, path in enumerate(paths):
        try:
            yield place, read_picture(path, size)
        except DataError as error:
            warnings.warn(f"Left out: {error}", stacklevel=2)
