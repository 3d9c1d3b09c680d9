# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras
from oaq_keras.flatbuffer import read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.keras_reconstruction import reconstruct_layers
from oaq_keras.runtime import Interpreter
from oaq_keras.trained import weight_quantizers
from tests.keras_models import mixed_network

layers = keras.layers


def smooth_images(count: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 1, 1, 3)) + 0.5 * rng.normal(size=(count, 12, 12, 3))).astype(
        np.float32
    )


def network() -> Any:
    """Every kind of layer with weights, with and without BatchNormalization; a branch."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(16, 1)(y))
    x = layers.Add()([x, y])
    x = layers.Conv2D(24, 3, activation="relu", groups=1)(x)
    x = layers.Dense(7)(layers.Flatten()(x))
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    rng.uniform(0.5, 2.0, gamma.shape),
                    rng.normal(size=beta.shape),
                    rng.normal(size=mean.shape) * 0.3,
                    rng.uniform(0.2, 1.0, variance.shape),
                ]
            )
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


def answers(content: bytes, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(found)


def test_answers_stay_closer_than_by_calibration_alone(model: Any) -> None:
    data = [smooth_images(16, seed) for seed in range(4)]
    new = smooth_images(64, 9)
    wanted = model.predict(new, verbose=0)
    plain = oaq_keras.calibrate(oaq_keras.quantize(model), data)
    fitted = oaq_keras.post_training_quantize(model, data)
    lost = [
        float(np.square(answers(oaq_keras.convert(each), new) - wanted).mean())
        for each in (plain, fitted)
    ]
    assert lost[1] < 0.6 * lost[0]
    np.testing.assert_array_equal(model.predict(new, verbose=0), wanted)


def test_the_file_holds_the_codes_that_were_chosen(model: Any) -> None:
    data = [smooth_images(16, seed) for seed in range(2)]
    fitted = oaq_keras.post_training_quantize(model, data, depth=16)
    content = oaq_keras.convert(fitted)
    assert oaq_keras.certify(content).proven
    stored = int8_layers(read_model(content))[0]
    chosen = list(weight_quantizers(fitted).values())
    for layer, quantizer in zip(stored, chosen, strict=True):
        scale = quantizer.current_scale().numpy()
        codes = np.rint(quantizer.channel_view(quantizer.kernel.numpy()) / scale).T
        np.testing.assert_array_equal(layer.codes, codes)


def test_every_kind_of_layer() -> None:
    float_model = mixed_network(keras)
    fitted = oaq_keras.post_training_quantize(float_model, lambda: iter([smooth_images(16, 1)]))
    content = oaq_keras.convert(fitted)
    assert oaq_keras.certify(content).proven
    new = smooth_images(16, 2)
    wanted = float_model.predict(new, verbose=0)
    assert np.abs(answers(content, new) - wanted).max() < 0.05


def test_layers_that_are_called_for_inference() -> None:
    inputs = keras.Input((12, 12, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs), training=False)
    float_model = keras.Model(inputs, layers.ReLU()(x))
    fitted = oaq_keras.post_training_quantize(float_model, [smooth_images(8, 1)])
    assert oaq_keras.certify(oaq_keras.convert(fitted)).proven


def test_means_are_kept(model: Any) -> None:
    data = smooth_images(64, 3)
    quantized = oaq_keras.calibrate(oaq_keras.quantize(model), [data])
    before = model.predict(data, verbose=0)
    reconstruct_layers(quantized, [data])
    off = quantized.predict(data, verbose=0) - before
    assert np.abs(off.mean(axis=0)).max() < 0.1 * before.std()


def test_training_goes_on_from_there(model: Any) -> None:
    fitted = oaq_keras.post_training_quantize(model, [smooth_images(16, 1)])
    fitted.compile("sgd", "mse")
    images = smooth_images(16, 2)
    fitted.fit(images, np.zeros((16, 7)), verbose=0)
    assert oaq_keras.certify(oaq_keras.convert(fitted)).proven
