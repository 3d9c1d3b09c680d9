# SPDX-License-Identifier: Apache-2.0
"""Trains a small network on one device, on two of one process, or as one of several workers.

python -m tests.distributed_training KIND FILE, with KIND "one", "mirrored" or "workers". Workers
find each other by TF_CONFIG, as TensorFlow's guides have it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras

CLASSES = 4


def strategy_of(kind: str) -> Any:
    """Before TensorFlow does anything else."""
    if kind == "workers":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        two = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        tf.config.set_logical_device_configuration(cpu, two)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return tf.distribute.get_strategy()


def _network() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
    left = keras.layers.Conv2D(8, 1, activation="relu")(x)
    x = keras.layers.Concatenate()([left, x])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def main() -> int:
    kind, file = sys.argv[1], Path(sys.argv[2])
    strategy = strategy_of(kind)
    oaq_keras.set_seed(1)
    with strategy.scope():
        model = oaq_keras.quantize(_network())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, 256)
    images = draw.normal(size=(256, 8, 8, 3)).astype(np.float32)
    images[np.arange(256), labels] += 2.0
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)
    model.fit(data, epochs=8, verbose=0)
    accuracy = model.evaluate(data, verbose=0)[1]
    file.write_bytes(oaq_keras.convert(model))
    sys.stdout.write(f"accuracy {accuracy}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
