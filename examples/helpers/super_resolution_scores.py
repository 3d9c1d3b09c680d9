# SPDX-License-Identifier: Apache-2.0
"""Luminance of pictures, smaller ones made of them, and how near an enlarged one comes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_RED, _GREEN, _BLUE = 65.481, 128.553, 24.966
_BLACK = 16.0


def luminance(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Y of YCbCr (ITU-R BT.601, as papers on super-resolution take it), 16 to 235.

    Args:
      picture: uint8 [height, width, 3], RGB.

    Returns:
      float32 [height, width].
    """
    weights = np.array((_RED, _GREEN, _BLUE), np.float32) / np.float32(255)
    return np.asarray(picture.astype(np.float32) @ weights + np.float32(_BLACK), np.float32)


def resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A plane [height, width], bicubic, antialiased where it becomes smaller."""
    return np.asarray(
        Image.fromarray(plane.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC),
        np.float32,
    )


def psnr(truth: NDArray[np.float32], answer: NDArray[np.float32], border: int = 0) -> float:
    """Peak signal-to-noise ratio of planes of 0 to 255, in dB.

    Args:
      truth: [height, width].
      answer: of the same shape; rounded and clipped to whole levels first.
      border: pixels at each edge that count for nothing.

    Returns:
      dB; infinite for equal planes.
    """
    if truth.shape != answer.shape:
        raise ValueError(f"Planes of shape {truth.shape} and {answer.shape}.")
    inner = (slice(border, -border or None),) * 2
    levels = [np.clip(np.rint(plane), 0, 255)[inner] for plane in (truth, answer)]
    error = np.mean(np.square(levels[0] - levels[1], dtype=np.float64))
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(255.0) - 10 * np.log10(error))
