# SPDX-License-Identifier: Apache-2.0
"""Methods that ours is compared with do what their papers say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from oaq_keras._keras import keras, tf
from oaq_keras.options import Options
from oaq_keras.quantization import apply_scheme
from oaq_keras.quantizers import ActivationQuantizer
from oaq_keras.scheme import OverflowAwareQuantizeScheme
from oaq_keras.trained import weight_quantizers
from results.other_methods import (
    LearntStepWeights,
    OneScaleWeights,
    PactActivations,
    PlainWeights,
    WholeSumWeights,
)
from tests.keras_models import images, mixed_network


def trained(weights: Any, activations: Any = ActivationQuantizer, **options: Any) -> Any:
    keras.utils.set_random_seed(1)
    scheme = OverflowAwareQuantizeScheme(Options(**options), weights, activations)
    model = apply_scheme(mixed_network(keras), scheme)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(images(32), np.arange(32) % 5, batch_size=8, verbose=0)
    return model


def codes_of(quantizer: Any) -> np.ndarray:
    view = quantizer.channel_view(quantizer.kernel.numpy())
    return np.rint(view / quantizer.current_scale().numpy())


def test_a2q_bounds_whole_sums() -> None:
    model = trained(WholeSumWeights, depth=16)
    for quantizer in weight_quantizers(model).values():
        assert np.abs(codes_of(quantizer)).sum(0).max() <= (2**15 - 1) / 2**8


def test_one_scale_is_that_of_the_fullest_channel() -> None:
    for quantizer in weight_quantizers(trained(OneScaleWeights)).values():
        scale = quantizer.current_scale().numpy()
        assert scale.max() == scale.min()
        assert quantizer.code_load().numpy().max() <= 1.0


def test_plain_weights_fill_their_codes() -> None:
    for quantizer in weight_quantizers(trained(PlainWeights)).values():
        assert np.abs(codes_of(quantizer)).max() == 127


def test_steps_of_lsq_learn() -> None:
    quantizers = weight_quantizers(trained(LearntStepWeights)).values()
    moved = [
        not np.allclose(quantizer.current_scale(), quantizer.plain_scale())
        for quantizer in quantizers
    ]
    assert all(moved)
    quantizer = LearntStepWeights("conv")
    quantizer._log2_step = tf.Variable([0.0])
    kernel = tf.constant([0.3, 0.6, 300.0], shape=(1, 1, 3, 1))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(quantizer(kernel, True, {}))
    to_kernel, to_step = tape.gradient(loss, [kernel, quantizer._log2_step])
    np.testing.assert_array_equal(to_kernel.numpy().ravel(), [1.0, 1.0, 0.0])
    # Section 2.1 of the paper, times ds / dlog2(s) = s ln 2.
    expected = (0 - 0.3 + 1 - 0.6 + 127) * np.log(2.0)
    assert to_step.numpy()[0] == pytest.approx(expected, rel=1e-5)


def test_clips_of_pact_learn_from_what_they_clip() -> None:
    quantizer = PactActivations("closed", "x", width=255)
    layer = keras.layers.Layer()
    variables = quantizer.build((None, 3), "x", layer)
    variables["calibrated"].assign(100.0)
    x = tf.constant([[0.123, 0.456, 7.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(quantizer(x, True, variables))
    to_x, to_clip = tape.gradient(loss, [x, variables["log2_clip"]])
    np.testing.assert_array_equal(to_x.numpy(), [[1.0, 1.0, 0.0]])
    assert float(to_clip) == pytest.approx(np.log(2.0), rel=1e-5)
