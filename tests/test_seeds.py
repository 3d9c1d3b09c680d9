# SPDX-License-Identifier: Apache-2.0
"""`set_seed`: two processes come to the same file, to the bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import oaq_keras

ROOT = Path(__file__).parents[1]

# Weights, the order of the data and dropout are drawn at random.
TRAINING = """
import sys
import numpy as np, oaq_keras, tf_keras as keras

oaq_keras.set_seed(int(sys.argv[1]))
inputs = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
model = oaq_keras.quantize(keras.Model(inputs, keras.layers.Dense(4)(x)))
model.compile(keras.optimizers.Adam(1e-2), "mse")
model.fit(np.random.normal(size=(64, 8, 8, 3)), np.random.normal(size=(64, 4)), epochs=4, verbose=0)
open(sys.argv[2], "wb").write(oaq_keras.convert(model))
"""


def _trained(seed: int, file: Path) -> bytes:
    subprocess.run(
        [sys.executable, "-c", TRAINING, str(seed), str(file)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
    )
    return file.read_bytes()


def test_runs_are_repeated_to_the_bit(tmp_path: Path) -> None:
    first, again, other = (
        _trained(seed, tmp_path / f"{number}.tflite") for number, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", [-1, 1 << 32, 1.0, "1", True])
def test_seeds_that_are_none_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed is a whole number from 0"):
        oaq_keras.set_seed(seed)
