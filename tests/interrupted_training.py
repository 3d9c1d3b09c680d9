# SPDX-License-Identifier: Apache-2.0
"""A training that is killed at a step, and goes on from its backup when it is started again.

python -m tests.interrupted_training KIND FOLDER [STEP]: writes FOLDER/model.tflite, or dies at
STEP, counted over all epochs. KIND is "cold", "warm" for a model that was trained before, or
"unknown" for data that do not say how many they are.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras

EPOCHS, BATCHES, CLASSES = 8, 6, 4


class _Killer(keras.callbacks.Callback):
    """Dies as by `kill -9`."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.epoch = step, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.epoch * BATCHES + batch == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    oaq_keras.set_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
    x = keras.layers.DepthwiseConv2D(3, activation="relu")(x)
    outputs = keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(x))
    model = oaq_keras.quantize(keras.Model(inputs, outputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 48))
    if kind == "unknown":  # where Keras counts a step of the optimizer that none has made
        optimizer = keras.optimizers.SGD(1e-2, momentum=0.9)
    model.compile(optimizer, loss)
    draw = np.random.default_rng(0)
    images = draw.normal(size=(BATCHES * 16, 8, 8, 3)).astype(np.float32)
    labels = draw.integers(0, CLASSES, BATCHES * 16)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    if kind == "warm":
        model.fit(data, epochs=3, verbose=0)
    if kind == "unknown":
        data = data.filter(lambda images, labels: True)
    callbacks = [keras.callbacks.BackupAndRestore(str(folder / "backup"))]
    if len(sys.argv) > 3:
        callbacks.append(_Killer(int(sys.argv[3])))
    model.fit(data, epochs=EPOCHS, callbacks=callbacks, verbose=0)
    (folder / "model.tflite").write_bytes(oaq_keras.convert(model))
    return 0


if __name__ == "__main__":
    sys.exit(main())
