# SPDX-License-Identifier: Apache-2.0
"""Small float models, built the same way in tf_keras and in Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np


def mixed_network(keras: Any) -> Any:
    """Every supported kind of layer once: 12x12x3 images, 5 classes."""
    layers = keras.layers
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    shortcut = x = layers.ReLU()(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.Conv2D(8, 1)(x)
    x = layers.Add()([x, shortcut])
    x = layers.Activation("relu")(x)
    left = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    right = layers.MaxPooling2D(2)(layers.Conv2D(8, 1, activation="relu6")(x))
    x = layers.Concatenate()([left, right])
    x = layers.AveragePooling2D(2)(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Conv2D(16, 3, padding="same", groups=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(12, activation="relu")(x)
    outputs = layers.Dense(5, activation="softmax", name="classes")(x)
    return keras.Model(inputs, outputs, name="mixed")


def sequential_network(keras: Any) -> Any:
    """A Sequential model: 12x12x3 images, 5 logits."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(5),
        ],
        name="stack",
    )


def images(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Random float32 images for the networks above."""
    return np.random.default_rng(seed).normal(size=(count, 12, 12, 3)).astype(np.float32)
