# SPDX-License-Identifier: Apache-2.0
"""ImageNet images and networks that the results are measured on, from a folder of the user's."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 224
_ENLARGED = 256
_CALIBRATION_STEP = 5


@dataclass(frozen=True)
class Images:
    """Images and labels.

    Attributes:
      pixels: uint8 [images, crops, 224, 224, 3].
      labels: class of each image, [images].
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def calibration_images(data: Path) -> NDArray[np.uint8]:
    """100 of the 500 samples, uncropped: uint8 [100, 224, 224, 3]."""
    return np.stack([image for image, _ in _samples(data)[::_CALIBRATION_STEP]])


def images_to_answer(data: Path, images: int | None = None) -> Images:
    """The other 400 samples and 250 validation images, ten crops each.

    Args:
      data: folder with the two archives.
      images: take so many alone, spread evenly, the centre crop of each: for trials.
    """
    samples = _samples(data)
    given = [pair for i, pair in enumerate(samples) if i % _CALIBRATION_STEP]
    given += _read(data / "imagenet_val_10classes_a.tar")
    if images is not None:
        given = [given[i] for i in np.linspace(0, len(given) - 1, images).astype(int)]
    crops = [_ten_crops(image) if images is None else image[None] for image, _ in given]
    return Images(np.stack(crops), np.array([label for _, label in given]))


def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels as MobileNets take them, -1 to 1."""
    return np.asarray(pixels, np.float32) / np.float32(127.5) - np.float32(1)


def mobilenet_v1(data: Path) -> Any:
    """MobileNetV1-0.25 up to its logits, a tf_keras model."""
    from tf_keras import Model, models

    model = models.load_model(data / "models" / "mobilenet_v1_0.25_224_imagenet.h5", compile=False)
    return Model(model.inputs, model.get_layer("conv_preds").output, name="mobilenet_v1")


def mobilenet_v2(data: Path) -> Any:
    """MobileNetV2-1.0 up to its logits, a tf_keras model."""
    from tf_keras.applications import MobileNetV2

    model = MobileNetV2(weights=None, classifier_activation=None, alpha=1.0)
    given = np.load(data / "models" / "mobilenetv2_1.0_224_from_int8.npz")
    for name, norm, *_ in json.loads(str(given["mapping"])):
        layer = model.get_layer(name)
        kernel = next(
            given[key] for key in given.files if key.startswith(f"{name}/") and "kernel" in key
        )
        bias = next(given[k] for k in (f"{name}/folded_bias", f"{name}/bias") if k in given.files)
        if norm is None:
            layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
            continue
        layer.set_weights([kernel.reshape(layer.get_weights()[0].shape)])
        batch = model.get_layer(norm)
        one = np.ones_like(bias)
        batch.set_weights([one, bias, 0 * one, one * (1 - batch.epsilon)])
    return model


def _samples(data: Path) -> list[tuple[NDArray[np.uint8], int]]:
    return _read(data / "imagenet1000_samples224_even.tar")


def _read(path: Path) -> list[tuple[NDArray[np.uint8], int]]:
    """Images and the labels that their names begin with, in order of their names."""
    found = []
    with tarfile.open(path) as archive:
        for entry in sorted(archive.getmembers(), key=lambda entry: entry.name):
            if entry.name.endswith(".jpg"):
                file = archive.extractfile(entry)
                assert file is not None
                image = Image.open(io.BytesIO(file.read())).convert("RGB")
                found.append((np.asarray(image), int(Path(entry.name).name[:4])))
    return found


def _ten_crops(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Corners and centre of the enlarged image, and their mirror images."""
    large = np.asarray(
        Image.fromarray(image).resize((_ENLARGED, _ENLARGED), Image.Resampling.BICUBIC)
    )
    rest = _ENLARGED - SIZE
    corners = [(0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)]
    crops = [large[y : y + SIZE, x : x + SIZE] for y, x in corners]
    return np.stack(crops + [crop[:, ::-1] for crop in crops])
