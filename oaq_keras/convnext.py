# SPDX-License-Identifier: Apache-2.0
"""Layers that keras.applications.convnext has for itself, as stock ones."""

from typing import Any

import numpy as np

from oaq_keras._keras import keras

NAMES = ("LayerScale", "StochasticDepth")


def is_of_convnext(layer: Any) -> bool:
    """Whether a layer, tf_keras or Keras 3, is one of them."""
    kind = type(layer)
    return kind.__name__ in NAMES and kind.__module__.endswith(".applications.convnext")


def stock_layer(layer: Any, name: str) -> tuple[Any, list[Any]]:
    """The layer that computes the same, unbuilt, and its weights.

    Args:
      layer: one for which `is_of_convnext`.
      name: to take.
    """
    if type(layer).__name__ == "StochasticDepth":
        rate = float(layer.get_config()["drop_path_rate"])
        return keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=name), []
    (gains,) = layer.get_weights()
    made = keras.layers.DepthwiseConv2D(1, use_bias=False, name=name)
    return made, [np.reshape(gains, (1, 1, -1, 1))]
