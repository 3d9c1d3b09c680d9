# SPDX-License-Identifier: Apache-2.0
"""y = gain * x + shift, channel by channel, as the depthwise convolution that int8 has."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from oaq_keras._keras import keras, tf
from oaq_keras.tflite_layers import TfliteDepthwiseConv2D


@keras.saving.register_keras_serializable("oaq_keras")
class ChannelAffine(TfliteDepthwiseConv2D):
    """A 1x1 depthwise convolution with one product an output, whose weights are given and stay.

    TFLite has no int8 operator for a gain per channel, and its converter leaves a product with a
    constant in float. A BatchNormalization behind it is folded into it.
    """

    def __init__(
        self,
        gain: float | Sequence[float] = 1.0,
        shift: float | Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
          gain: of all channels, or of each.
          shift: the same; None for none.
          **kwargs: of a Keras layer.
        """
        self.gain, self.shift = gain, shift
        super().__init__(
            1,
            use_bias=shift is not None,
            depthwise_initializer=_Given(gain),
            depthwise_constraint=_Given(gain),
            bias_initializer=_Given(0.0 if shift is None else shift),
            bias_constraint=None if shift is None else _Given(shift),
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        base = keras.layers.Layer.get_config(self)
        return {**base, "gain": self.gain, "shift": self.shift}


class _Given(keras.initializers.Initializer, keras.constraints.Constraint):
    """Given values, to start with and after every step of an optimizer."""

    def __init__(self, values: float | Sequence[float]) -> None:
        self.values = values

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> Any:
        """Values for a shape, or for a variable that has one."""
        wanted = shape.shape if hasattr(shape, "assign") else shape
        values = np.asarray(self.values, np.float32)
        size = [int(each) for each in wanted]
        filled = values if values.ndim == 0 else values.reshape([n if n > 1 else 1 for n in size])
        return tf.constant(np.broadcast_to(filled, size), tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {"values": self.values}
