# SPDX-License-Identifier: Apache-2.0
"""Fixed-point formats: which codes a tensor can hold, and the real numbers they stand for."""

from dataclasses import dataclass
from typing import Any, NamedTuple


class Codes(NamedTuple):
    """Limits of the integers that int8 tensors hold."""

    low: int = -128
    high: int = 127
    weight_max: int = 127

    @property
    def width(self) -> int:
        """Hi - lo of a tensor about which nothing is known."""
        return self.high - self.low


CODES = Codes()

MIN_WIDTH = 15
"""Smallest width, hi - lo in codes, that training may choose: 4 bits."""


@dataclass(frozen=True)
class ActivationFormat:
    """Format of an activation tensor: real = scale * (code - zero_point).

    Attributes:
      scale: real value of one code step.
      zero_point: the code that stands for 0.0.
      low: smallest code the tensor can hold.
      high: largest code the tensor can hold.
    """

    scale: float
    zero_point: int
    low: int
    high: int

    @property
    def width(self) -> int:
        """Hi - lo, in codes."""
        return self.high - self.low


def closed_format(clip: float, width: int) -> ActivationFormat:
    """The format of a ReLU output clipped to [0, clip], with `width + 1` codes.

    Its range is closed by arithmetic that stock TFLite has: RELU below, int8 saturation above.

    Raises:
      ValueError: clip is not positive, or width is not in 1..255.
    """
    if not clip > 0:
        raise ValueError(f"A clip is a positive real number, got {clip}.")
    if not 1 <= width <= CODES.width:
        raise ValueError(f"A width is 1 to {CODES.width} codes, got {width}.")
    return ActivationFormat(clip / width, CODES.high - width, CODES.high - width, CODES.high)


def closed_fake_quant_range(clip: Any, width: Any) -> tuple[Any, Any]:
    """Fake-quant [min, max] that gives `closed_format(clip, width)`.

    With 255 steps between min and max, min = -(255 - width) / width * clip puts exactly
    255 - width codes below zero. Works on floats and on tensors.
    """
    return -(CODES.width - width) / width * clip, clip
