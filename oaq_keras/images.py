# SPDX-License-Identifier: Apache-2.0
"""Vectors and sequences as images of one row, which is what TFLite convolves, and back."""

from typing import Any

from oaq_keras._keras import keras, tf

_VECTORS, _SEQUENCES = 2, 3


@keras.saving.register_keras_serializable("oaq_keras")
class AsImages(keras.layers.Layer):
    """[batch, channels] as [batch, 1, 1, channels], [batch, steps, channels] as one row."""

    def call(self, inputs: Any) -> Any:
        """Reshapes a tensor of two or three dimensions."""
        if inputs.shape.rank == _SEQUENCES:
            return tf.expand_dims(inputs, 1)
        return tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """[batch, 1, steps or 1, channels]."""
        batch, *steps, channels = tuple(input_shape)
        return tf.TensorShape([batch, 1, *(steps or [1]), channels])


@keras.saving.register_keras_serializable("oaq_keras")
class FromImages(keras.layers.Layer):
    """The inverse of AsImages."""

    def __init__(self, rank: int = _VECTORS, **kwargs: Any) -> None:
        """Makes the layer; `rank` is that of what it answers, 2 or 3."""
        super().__init__(**kwargs)
        self.rank = rank

    def call(self, inputs: Any) -> Any:
        """Reshapes float32 [batch, 1, steps or 1, channels]."""
        return tf.squeeze(inputs, [1] if self.rank == _SEQUENCES else [1, 2])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """[batch, channels] or [batch, steps, channels]."""
        batch, _, steps, channels = tuple(input_shape)
        return tf.TensorShape([batch, *([steps] if self.rank == _SEQUENCES else []), channels])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "rank": self.rank}
