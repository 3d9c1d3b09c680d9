# SPDX-License-Identifier: Apache-2.0
"""What TFLite's int8 kernels do to real values before they round them, for inference in Keras.

Fake quantization rounds once, to the nearest code. Kernels come to other codes for three reasons,
each a small shift of the real value, so that one rounding behind it gives theirs:

- Biases are whole accumulator steps: a bias b is round(b / a) * a, with a the step of the sums.
- Sums are scaled with two roundings, first to 2^-n of a code, with a / scale in [2^-(n+1), 2^-n)
  and n > 0, then half away from zero. What lies up to 2^-(n+1) of a code below a half goes up too.
  FULLY_CONNECTED rounds once.
- Averages are rounded as codes, half away from the code 0, and halves are frequent there.

Training does without them: they are far below a code, and would cost operations. So does what is
traced for a converter, which knows fake quantization alone.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from oaq_keras._keras import tf

_BELOW_HALF = 2.0**-11
"""Of a code: less than any average of up to 1024 values lies beside a half, unless it is one."""


_wanted: ContextVar[bool] = ContextVar("oaq_keras_kernel_rounding", default=False)


@contextmanager
def kernel_rounding() -> Iterator[None]:
    """Graphs that are traced inside, for inference, round as kernels do."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def is_wanted() -> bool:
    """Whether inference is to round as kernels do here: where it runs at once, or was asked to."""
    return bool(tf.executing_eagerly()) or _wanted.get()


@dataclass(frozen=True)
class Sums:
    """A layer's sums of products.

    Attributes:
      step: real value of one step of the accumulator, float32 [channels] or a scalar, >= 0.
      bias: the real bias that is added, float32 [channels] or a scalar.
      twice: whether they are rounded twice.
      count: of how many values they are the average, whose step this then is.
    """

    step: Any
    bias: Any
    twice: bool = True
    count: int = 1

    def folded(self, gain: Any, shift: Any) -> "Sums":
        """The sums of the layer with a normalization y = gain * x + shift folded into it."""
        return Sums(self.step * tf.abs(gain), self.bias * gain + shift, self.twice, self.count)


def as_scaled_sums(values: Any, sums: Sums, scale: Any) -> Any:
    """Moves what a layer answers to where one rounding gives the kernel's code.

    Args:
      values: float32 [..., channels], after the activation.
      sums: what they were computed from.
      scale: real value of one code of the output, a float32 scalar.

    Returns:
      float32 of the same shape.
    """
    step = tf.where(sums.step > 0.0, sums.step, scale)
    rounding = (tf.round(sums.bias / step) - sums.bias / step) * step
    moved = values + tf.where(sums.step > 0.0, rounding, 0.0)
    # An activation's zero stays: what it cut off lies below, by more than all of this.
    moved = tf.where(values == 0.0, values, moved)
    if not sums.twice:
        return moved
    # MEAN's factor is shifted by the whole bits of the count, then divided.
    ratio = step * float(sums.count) / scale
    exponent = tf.floor(tf.math.log(ratio) / math.log(2.0)) - math.floor(math.log2(sums.count))
    window = tf.where(exponent < -1.0, scale * tf.pow(2.0, exponent), 0.0)
    return moved + tf.sign(moved) * tf.where(sums.step > 0.0, window, 0.0)


def as_averaged_codes(values: Any, scale: Any, zero_point: Any) -> Any:
    """Moves averages of codes to where one rounding gives the kernel's code.

    Args:
      values: float32, averages of values of one format.
      scale: real value of one of its codes, a float32 scalar.
      zero_point: its code for 0.0, a float32 scalar.

    Returns:
      float32 of the same shape.
    """
    below = values < -scale * zero_point
    return values + tf.where(below, -_BELOW_HALF, _BELOW_HALF) * scale
