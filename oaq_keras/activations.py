# SPDX-License-Identifier: Apache-2.0
"""Activations that tf_keras lacks, or computes in another way than Keras 3."""

from typing import Any

from oaq_keras._keras import keras, tf

PACKAGE = "oaq_keras"


@keras.saving.register_keras_serializable(PACKAGE)
def hard_sigmoid(x: Any) -> Any:
    """Keras 3's: relu6(x + 3) / 6; tf_keras's is 0.2 x + 0.5 within 0 and 1."""
    return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


@keras.saving.register_keras_serializable(PACKAGE)
def hard_silu(x: Any) -> Any:
    """X * relu6(x + 3) / 6, which the converter makes one HARD_SWISH of."""
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


HARD_SIGMOID = f"{PACKAGE}>hard_sigmoid"
HARD_SILU = f"{PACKAGE}>hard_silu"

FROM_KERAS3 = {
    "silu": "swish",
    "swish": "swish",
    "hard_silu": HARD_SILU,
    "hard_swish": HARD_SILU,
    "hard_sigmoid": HARD_SIGMOID,
}
"""What tf_keras and this module call Keras 3's activations, where names differ."""


def name_of(activation: Any) -> str:
    """What a layer's config calls its activation: a name, or a function that was registered."""
    return str(activation["config"] if isinstance(activation, dict) else activation)
