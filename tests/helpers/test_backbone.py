# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 of given weights, and statistics for BatchNormalization that was folded away."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from helpers.backbone import mobilenet_v2, unfold
from helpers.pictures import DataError

from oaq_keras._keras import keras

SHAPE = (32, 32, 3)


def _pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


def test_unfolding_changes_no_answer_and_makes_training_begin_there() -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(5, 1, use_bias=False)(x)
    model = keras.Model(inputs, keras.layers.BatchNormalization()(x))
    for norm in model.layers[2::3]:
        size = norm.gamma.shape[0]
        one = np.ones(size, np.float32)
        norm.set_weights([one, np.linspace(-1, 1, size), 0 * one, one * (1 - norm.epsilon)])
    pictures = _pictures(64)
    before, weights = model(pictures).numpy(), model.get_weights()
    assert not np.allclose(model(pictures, training=True), before, atol=0.1)
    model.set_weights(weights)  # that moved averages
    unfold(model, pictures)
    assert model(pictures).numpy() == pytest.approx(before, abs=1e-4)
    assert model(pictures, training=True).numpy() == pytest.approx(before, abs=1e-3)


def test_folded_weights_are_read(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    source = keras.applications.MobileNetV2(SHAPE, include_top=False, weights=None)
    arrays, mapping = {}, []
    layers = source.layers
    for layer, norm in pairwise(layers):
        if isinstance(norm, keras.layers.BatchNormalization):
            (kernel,) = layer.get_weights()
            arrays[f"{layer.name}/kernel"] = kernel
            arrays[f"{layer.name}/folded_bias"] = np.full(norm.gamma.shape, 0.25, np.float32)
            mapping.append([layer.name, norm.name])
    path = tmp_path / "folded.npz"
    np.savez(path, mapping=json.dumps([*mapping, ["Logits", None]]), **arrays)
    model = mobilenet_v2(SHAPE, path)
    conv, norm = model.get_layer("Conv1"), model.get_layer("bn_Conv1")
    assert np.array_equal(conv.get_weights()[0], source.get_layer("Conv1").get_weights()[0])
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    assert factor == pytest.approx(np.ones_like(factor), abs=1e-6)
    assert beta - factor * mean == pytest.approx(np.full_like(beta, 0.25))


@pytest.mark.parametrize("name", ["foreign.h5", "nowhere.h5", "nowhere.npz", "foreign.npz"])
def test_other_weights_are_refused(tmp_path: Path, name: str) -> None:
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save_weights(tmp_path / "foreign.h5")
    np.savez(tmp_path / "foreign.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        mobilenet_v2(SHAPE, tmp_path / name)
