# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization that a schedule can freeze."""

from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.format_table import FormatTable, current_table


@keras.saving.register_keras_serializable("oaq_keras")
class FreezableBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization that, once frozen, trains on the statistics that the converter folds.

    Then y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta in training as in
    inference, gamma and beta still learn, and moving averages stay. (Krishnamoorthi,
    arXiv 1806.08342, section 3.2.2, freezes them for the same reason.)
    """

    table: FormatTable | None = None
    """Whose `statistics_frozen` it follows: that of the scope it was made in, or the one given."""

    def __init__(self, *args: Any, inference: bool = False, **kwargs: Any) -> None:
        """Takes what BatchNormalization takes.

        Args:
          *args: of BatchNormalization.
          inference: whether it is frozen from the start, as where it is called with training=False.
          **kwargs: of BatchNormalization.
        """
        super().__init__(*args, **kwargs)
        self.inference = inference
        self.table = current_table()

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "inference": self.inference}

    def build(self, input_shape: Any) -> None:
        """Makes the variables, and lets the table know of the layer."""
        super().build(input_shape)
        if self.table is not None:
            self.table.enter_normalization(self.name, self.affine)

    def affine(self) -> tuple[Any, Any]:
        """Gain and shift of y = gain * x + shift in inference, float32 [channels] each."""
        gain = tf.math.rsqrt(self.moving_variance + self.epsilon)
        if self.scale:
            gain = gain * self.gamma
        shift = -self.moving_mean * gain
        return gain, shift + self.beta if self.center else shift

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Normalizes the last axis of float32 [batch, ..., channels]."""
        frozen = self.inference or (self.table is not None and self.table.statistics_frozen)
        return super().call(inputs, training=False if frozen else training)
