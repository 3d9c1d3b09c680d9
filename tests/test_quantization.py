# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import keras as keras3

import oaq_keras
from oaq_keras._keras import keras, tfmot
from oaq_keras.trained import format_tables, inflation_bits, weight_quantizers
from tests.keras_models import images, mixed_network, sequential_network

BOTH_KERAS = pytest.mark.parametrize("which", [keras, keras3], ids=["tf_keras", "keras3"])
BOTH_NETWORKS = pytest.mark.parametrize("network", [mixed_network, sequential_network])


@BOTH_KERAS
@BOTH_NETWORKS
def test_quantized_model_answers_nearly_as_the_float_model(which: Any, network: Any) -> None:
    which.utils.set_random_seed(3)
    model = network(which)
    before = [weight.copy() for weight in model.get_weights()]
    quantized = oaq_keras.post_training_quantize(model, [images(64)])
    assert isinstance(quantized, keras.Model)
    x = images(16, seed=1)
    expected = model.predict(x, verbose=0)
    answers = quantized.predict(x, verbose=0)
    assert np.abs(answers - expected).max() < 0.1 * np.abs(expected).max()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_formats_follow_the_graph() -> None:
    model = oaq_keras.quantize(mixed_network(keras), width=127)
    (table,) = format_tables(model)
    quantizers = weight_quantizers(model)
    assert [quantizer.kind for quantizer in quantizers.values()] == [
        "conv",
        "depthwise",
        *["conv"] * 6,
    ]
    assert [quantizer.depth for quantizer in quantizers.values()] == [4, *[16] * 7]
    widths = [float(table.width(each.input_format)) for each in quantizers.values()]
    assert widths == pytest.approx([255, 127, 127, 127, 127, 127, 255, 127])
    # What is concatenated and pooled shares one format: TFLite moves codes there, unchanged.
    names = [layer.name for layer in model.layers if "average_pooling2d" in layer.name]
    pooled = model.get_layer(names[0]).quantize_config.output_quantizer
    grouped = list(quantizers.values())[-3]
    assert pooled.name == grouped.input_format
    assert abs(sum(quantizer.mac_share for quantizer in quantizers.values()) - 1) < 1e-6


def test_training_learns_formats_and_weights() -> None:
    keras.utils.set_random_seed(5)
    model = oaq_keras.quantize(mixed_network(keras), regularization=1.0)
    x, y = images(128), np.random.default_rng(0).integers(0, 5, 128)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    before = inflation_bits(model)
    losses = model.fit(x, y, epochs=6, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert inflation_bits(model) < before
    (table,) = format_tables(model)
    learnt = [v["log2_width"].numpy() for _, v in table.items() if "log2_width" in v]
    assert any(abs(width - np.log2(127)) > 0.01 for width in learnt)


@BOTH_NETWORKS
def test_scheme_works_with_quantize_apply(network: Any) -> None:
    float_model = network(keras)
    annotated = tfmot.quantization.keras.quantize_annotate_model(float_model)
    model = tfmot.quantization.keras.quantize_apply(
        annotated, oaq_keras.OverflowAwareQuantizeScheme(oaq_keras.Options(depth=8))
    )
    oaq_keras.calibrate(model, [images(8)])
    certificate = oaq_keras.certify(oaq_keras.convert(model))
    assert certificate.proven
    assert certificate.depth == 8


def test_registry_bounds_single_layers_for_all_codes() -> None:
    registry = oaq_keras.OverflowAwareQuantizeRegistry(depth=8)
    layer = keras.layers.Conv2D(4, 3, activation="relu")
    assert registry.supports(layer)
    assert not registry.supports(keras.layers.LSTM(3))
    config = registry.get_quantize_config(layer)
    assert config.weight_quantizer.depth == 8
    assert config.weight_quantizer.input_format is None
    assert config.output_quantizer.kind == "closed"
    copy = oaq_keras.OverflowAwareQuantizeConfig.from_config(config.get_config())
    assert copy.get_config() == config.get_config()


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 0},
        {"depth": 2.5},
        {"depth": True},
        {"first_layer_depth": -4},
        {"accumulator_bits": 17},
        {"regularization": -1.0},
        {"regularization": float("nan")},
        {"width": 3},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got"):
        oaq_keras.quantize(sequential_network(keras), **options)


def test_tf_keras_means_what_it_meant() -> None:
    program = (
        "import oaq_keras, tensorflow as tf; oaq_keras.quantize;"
        "import os; assert 'TF_USE_LEGACY_KERAS' not in os.environ;"
        "assert tf.keras.version().startswith('3.'), tf.keras.version()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
