# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization that a schedule can freeze."""

from typing import Any

from oaq_keras._keras import keras
from oaq_keras.format_table import FormatTable, current_table


class FreezableBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization that, once frozen, trains on the statistics that the converter folds.

    Then y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta in training as in
    inference, gamma and beta still learn, and moving averages stay. (Krishnamoorthi,
    arXiv 1806.08342, section 3.2.2, freezes them for the same reason.)
    """

    table: FormatTable | None = None
    """Whose `frozen` it follows; that of the scope it was made in, or the one it was given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes what BatchNormalization takes."""
        super().__init__(*args, **kwargs)
        self.table = current_table()

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Normalizes the last axis of float32 [batch, ..., channels]."""
        frozen = self.table is not None and self.table.frozen
        return super().call(inputs, training=False if frozen else training)
