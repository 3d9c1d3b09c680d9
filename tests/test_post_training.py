# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.trained import format_tables
from tests.keras_models import images, sequential_network


@pytest.fixture(scope="module")
def model() -> Any:
    return oaq_keras.quantize(sequential_network(keras))


def test_calibration_keeps_weights_and_sets_every_format(model: Any) -> None:
    before = [weight.numpy() for weight in model.trainable_weights if "log2" not in weight.name]
    oaq_keras.calibrate(model, lambda: iter([images(4), images(4, seed=1)]))
    after = [weight.numpy() for weight in model.trainable_weights if "log2" not in weight.name]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    for table in format_tables(model):
        assert not table.observing
        assert all(variables["calibrated"].numpy().min() > 0 for _, variables in table.items())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no batches"),
        ([np.zeros((4, 9, 9, 3))], r"shape \(4, 9, 9, 3\)"),
        ([(images(2), np.zeros(2))], "without labels"),
        ([np.full((1, 12, 12, 3), np.nan)], "not finite"),
    ],
)
def test_unusable_data_is_refused(model: Any, data: Any, message: str) -> None:
    with pytest.raises(oaq_keras.UnsupportedError, match=message):
        oaq_keras.calibrate(model, data)


def test_a_float_model_is_refused() -> None:
    with pytest.raises(oaq_keras.UnsupportedError, match="Call quantize"):
        oaq_keras.calibrate(sequential_network(keras), [images(2)])


@pytest.mark.parametrize(
    "option", [{"policy": "paper"}, {"distillation": oaq_keras.Distillation()}]
)
def test_options_of_training_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"got {next(iter(option))}="):
        oaq_keras.post_training_quantize(sequential_network(keras), [images(8)], **option)
