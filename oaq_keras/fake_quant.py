# SPDX-License-Identifier: Apache-2.0
"""Fake quantization with LSQ gradients, in the arithmetic that the converter turns into int8 codes.

Forward passes are TensorFlow's own fake-quant kernels, so that training computes what the exported
graph computes. Backward passes are those of learned step size quantization (Esser et al.,
arXiv 1902.08153): straight through inside the clip, and for the step s of y = s * round(x / s)

    dy/ds = round(x / s) - x / s   inside the clip,   dy/dclip = 1   beyond it.

The first term is summed over a quarter of the batch, and scaled up.
"""

from typing import Any

from oaq_keras._keras import tf
from oaq_keras.exporting import is_exporting
from oaq_keras.formats import CODES, closed_fake_quant_range

_SHARE = 4
"""One in so many images tells what rounding does to a format."""


def round_straight_through(x: Any) -> Any:
    """Rounds to the nearest integer; the gradient passes unchanged."""
    return x + tf.stop_gradient(tf.round(x) - x)


def fake_quant_closed(x: Any, clip: Any, width: Any) -> Any:
    """Quantizes a non-negative tensor to `width + 1` codes over [0, clip].

    The zero point lies so that int8 saturation closes the range from above and RELU from below
    (codes [127 - width, 127]).

    Args:
      x: float32 tensor of any shape, the output of a ReLU.
      clip: float32 scalar > 0, the largest value kept.
      width: float32 scalar, a whole number in 1..255: hi - lo in codes.

    Returns:
      float32 tensor of x's shape. Gradients flow to x, clip and width (LSQ).
    """
    if is_exporting():
        low, high = closed_fake_quant_range(clip, width)
        return tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)
    return _fake_quant_closed(x, clip, width)


@tf.custom_gradient
def _fake_quant_closed(x: Any, clip: Any, width: Any) -> Any:
    low, high = closed_fake_quant_range(clip, width)
    y = tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)

    def grad(dy: Any) -> tuple[Any, Any, Any]:
        dx, _, above = tf.quantization.fake_quant_with_min_max_vars_gradient(
            dy, x, low, high, num_bits=8
        )
        # A part of the batch estimates what rounding does to two scalars; all of it would cost a
        # tenth of a training step. Not before the gradient is there: the executor would compute
        # every layer's rounding in the forward pass, and keep it. A dot product writes no products.
        images = tf.shape(x)[0]
        part = (images + _SHARE - 1) // _SHARE
        with tf.control_dependencies([dx]):
            error = y[:part] - x[:part]
        rounding = tf.matmul(tf.reshape(dx[:part], [1, -1]), tf.reshape(error, [-1, 1]))[0, 0]
        rounding *= tf.cast(images, x.dtype) / tf.cast(part, x.dtype)
        normal = tf.math.rsqrt(tf.cast(tf.size(x), x.dtype) * width)
        dclip = above + rounding / clip
        dwidth = -rounding / width
        return dx, normal * dclip, normal * dwidth

    return y, grad


def fake_quant_open(x: Any, low: Any, high: Any) -> Any:
    """Quantizes to all 256 codes over [low, high]; values beyond are clipped.

    Args:
      x: float32 tensor of any shape.
      low: float32 scalar <= 0.
      high: float32 scalar >= 0.

    Returns:
      float32 tensor of x's shape. Gradients flow to x: straight through inside the range, and
      beyond it where they lead back. The range follows what it saw, so a channel that is the lowest
      of all may lie below it as a whole, and would never learn again.
    """
    if is_exporting():
        return tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)
    return _fake_quant_open(x, tf.stop_gradient(low), tf.stop_gradient(high))


@tf.custom_gradient
def _fake_quant_open(x: Any, low: Any, high: Any) -> Any:
    y = tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)

    def grad(dy: Any) -> tuple[Any, Any, Any]:
        away = ((x < low) & (dy > 0.0)) | ((x > high) & (dy < 0.0))
        return tf.where(away, 0.0, dy), None, None

    return y, grad


def fake_quant_weights(w: Any, scale: Any) -> Any:
    """Quantizes weights to codes in -127..127.

    Args:
      w: float32 tensor, output channels last.
      scale: float32 > 0 with |w| <= 127 * scale: a vector of the output channels, or a scalar.

    Returns:
      float32 tensor of w's shape. Gradients flow to w and scale (LSQ).
    """
    return _rounded_weights(w, scale) if is_exporting() else _fake_quant_weights(w, scale)


def _rounded_weights(w: Any, scale: Any) -> Any:
    limit = scale * float(CODES.weight_max)
    quantize = (
        tf.quantization.fake_quant_with_min_max_vars_per_channel
        if scale.shape.rank
        else tf.quantization.fake_quant_with_min_max_vars
    )
    return quantize(w, -limit, limit, num_bits=8, narrow_range=True)


@tf.custom_gradient
def _fake_quant_weights(w: Any, scale: Any) -> Any:
    y = _rounded_weights(w, scale)
    axes = list(range(w.shape.rank - scale.shape.rank))

    def grad(dy: Any) -> tuple[Any, Any]:
        with tf.control_dependencies([dy]):
            error = y - w
        return dy, tf.reduce_sum(dy * error, axis=axes) / scale

    return y, grad
