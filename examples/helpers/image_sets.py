# SPDX-License-Identifier: Apache-2.0
"""Labelled images: scikit-learn's digits, an .npz file, or folders of a class each."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from helpers.pictures import DataError, read_picture

Images = NDArray[Any]

_TEST_NAMES = ("test", "val", "validation")
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Attributes:
      images: each [height, width, channels], uint8 or of the units that networks take.
      labels: int64 [n].
    """

    images: Files | Images
    labels: NDArray[np.int64]

    def some(self, limit: int | None) -> Split:
        """At most so many, spread evenly; all for None."""
        count = len(self.images)
        if limit is None or limit >= count:
            return self
        places = np.linspace(0, count - 1, limit).astype(int)
        images = self.images
        chosen = images.some(places) if isinstance(images, Files) else images[places]
        return Split(chosen, self.labels[places])

    def dataset(self, targets: NDArray[Any], seed: int | None = None) -> Any:
        """Images one by one, each with its target; shuffled, if there is a seed.

        Args:
          targets: [n, ...].
          seed: of the order, which changes with each pass.
        """
        count = len(self.images)
        if isinstance(self.images, np.ndarray):
            data = tf.data.Dataset.from_tensor_slices((self.images, targets))
            return data if seed is None else data.shuffle(count, seed=seed)
        first = self.images[0]

        def read(place: Any, target: Any) -> Any:
            image = tf.numpy_function(lambda place: self.images[place], [place], first.dtype)
            return tf.ensure_shape(image, first.shape), target

        data = tf.data.Dataset.from_tensor_slices((np.arange(count), targets))
        data = data if seed is None else data.shuffle(count, seed=seed)
        return data.map(read, num_parallel_calls=2)


class Files(Sequence[Images]):
    """Pictures in files, read when they are asked for; damaged ones are grey, with a warning."""

    def __init__(self, paths: Sequence[Path], size: tuple[int, int]) -> None:
        """Takes the paths, and the height and width to squash pictures to."""
        self._paths, self._size = paths, size

    def some(self, places: NDArray[Any]) -> Files:
        """Those at some places."""
        return Files([self._paths[place] for place in places], self._size)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._paths)

    def __getitem__(self, place: Any) -> Any:
        """The picture at a place, uint8 [height, width, 3]."""
        try:
            return read_picture(self._paths[place], self._size)
        except DataError as error:
            warnings.warn(f"Grey instead: {error}", stacklevel=2)
            return np.full((*self._size, 3), 127, np.uint8)


def digits(seed: int) -> tuple[Split, Split]:
    """Scikit-learn's handwritten digits, 8 x 8, halves to train and to test on."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype(np.float32) / 16
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = np.split(order[len(order) % 2 :], 2)
    return Split(images[train], labels[train]), Split(images[test], labels[test])


def read_npz(path: Path) -> tuple[Split, Split]:
    """An .npz file with x_train, y_train, x_test and y_test.

    Raises:
      DataError: it cannot be read, lacks one, or holds what no classifier could be trained on.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except Exception as error:  # zipfile and zlib have errors of their own for damaged files
        raise DataError(
            f"{path}: {error}. Expected an .npz with x_train, y_train, x_test, y_test; or a folder."
        ) from error
    splits = []
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim != 4 or not len(images) or len(images) != labels.size:
            raise DataError(
                f"{path}: images of shape {images.shape} with labels of shape {labels.shape}. "
                "Expected [n, height, width, channels] and [n], n at least 1."
            )
        if images.dtype.kind not in "uif" or not np.isfinite(images).all():
            raise DataError(f"{path}: images hold values that are not finite numbers.")
        if labels.dtype.kind not in "ui" or labels.min() < 0:
            raise DataError(f"{path}: labels are not class indices from 0.")
        splits.append(Split(images, labels.reshape(-1).astype(np.int64)))
    train, test = splits
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise DataError(
            f"{path}: training images of shape {arrays[0].shape[1:]}, test images of shape "
            f"{arrays[2].shape[1:]}. Expected the same."
        )
    return train, test


def read_folders(
    data: Path, size: tuple[int, int], names: Sequence[str] | None = None
) -> tuple[Split, Split]:
    """Folders `train` and `test`, `val` or `validation`, each with a folder of pictures a class.

    Args:
      data: folder with both.
      size: height and width to squash pictures to.
      names: of the classes' folders, in the order of the network's outputs; by default those of
        `train`, sorted.

    Raises:
      DataError: a folder that is missing, that names lack, or no pictures.
    """
    tests = [data / name for name in _TEST_NAMES if (data / name).is_dir()]
    if not (data / "train").is_dir() or not tests:
        raise DataError(
            f"{data} has no folders `train` and one of {', '.join(_TEST_NAMES)}, each with a "
            "folder of pictures for each class."
        )
    if names is None:
        names = sorted(each.name for each in (data / "train").iterdir() if each.is_dir())
    places = {name: place for place, name in enumerate(names)}
    return _split(data / "train", places, size), _split(tests[0], places, size)


def _split(folder: Path, places: dict[str, int], size: tuple[int, int]) -> Split:
    paths: list[Path] = []
    labels: list[int] = []
    for inner in sorted(each for each in folder.iterdir() if each.is_dir()):
        found = sorted(each for each in inner.iterdir() if each.suffix.lower() in _ENDINGS)
        if found and inner.name not in places:
            raise DataError(
                f"The folder {inner} is of no class: there are {len(places)}, the first "
                f"{', '.join(list(places)[:3])}."
            )
        paths += found
        labels += [places.get(inner.name, 0)] * len(found)
    if not paths:
        raise DataError(f"{folder} has no folder with pictures in it ({', '.join(_ENDINGS)}).")
    return Split(Files(paths, size), np.array(labels, np.int64))
