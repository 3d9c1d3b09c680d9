# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from oaq_keras._keras import keras, tf
from oaq_keras.accumulator import prove
from oaq_keras.layouts import LAYOUTS, NEVER_DRAINED
from oaq_keras.quantizers import (
    CALIBRATION_STEPS,
    ActivationQuantizer,
    FormatTable,
    WeightQuantizer,
    format_table,
)


def _built(quantizer: ActivationQuantizer, name: str = "layer") -> dict[str, Any]:
    return quantizer.build((None, 4), "output", keras.layers.Layer(name=name))


def test_calibration_finds_the_clip_and_then_leaves_it_to_the_gradients() -> None:
    quantizer = ActivationQuantizer("closed")
    variables = _built(quantizer)
    x = tf.constant(np.random.default_rng(0).uniform(0, 3, (512, 4)).astype(np.float32))
    for _ in range(CALIBRATION_STEPS):
        quantizer(x, True, variables)
    clip = 2 ** float(variables["log2_clip"])
    assert 2.5 < clip <= 3.0
    quantizer(10 * x, True, variables)
    assert 2 ** float(variables["log2_clip"]) == clip
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(quantizer(10 * x, True, variables) * np.float32(0.3))
    gradients = tape.gradient(y, [variables["log2_clip"], variables["log2_width"]])
    assert all(float(gradient) != 0.0 for gradient in gradients)


def test_calibration_cuts_outliers_off() -> None:
    quantizer = ActivationQuantizer("closed", width=15)
    variables = _built(quantizer)
    x = np.random.default_rng(0).uniform(0, 1, (100000, 1)).astype(np.float32)
    x[0] = 2.0
    quantizer(tf.constant(x), True, variables)
    assert 2 ** float(variables["log2_clip"]) < 1.5


def test_relu6_never_clips_above_six() -> None:
    quantizer = ActivationQuantizer("closed", max_value=6.0)
    variables = _built(quantizer)
    variables["log2_clip"].assign(5.0)
    assert float(tf.reduce_max(quantizer(tf.constant([100.0]), False, variables))) == 6.0


def test_open_format_follows_the_range_and_holds_zero() -> None:
    quantizer = ActivationQuantizer("open")
    variables = _built(quantizer)
    x = tf.constant([[1.0, 4.0]])
    np.testing.assert_allclose(quantizer(x, True, variables).numpy(), x, atol=0.01)
    assert (float(variables["low"]), float(variables["high"])) == (0.0, 4.0)
    np.testing.assert_array_equal(quantizer(tf.zeros(3), False, variables).numpy(), 0.0)


def test_quantizers_of_one_name_share_their_format() -> None:
    with format_table(FormatTable()) as table:
        first, second = ActivationQuantizer(name="a"), ActivationQuantizer(name="a")
    assert _built(first, "one") is _built(second, "two")
    assert float(table.width("a")) == 127.0
    assert float(table.width("unknown")) == float(table.width(None)) == 255.0


@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize("depth", [4, 16, NEVER_DRAINED])
@pytest.mark.parametrize("width", [15.0, 127.0, 255.0])
@pytest.mark.parametrize("bits", [16, 12])
def test_every_forward_pass_fits(kind: str, depth: int, width: float, bits: int) -> None:
    shape = {"conv": (3, 3, 20, 6), "depthwise": (5, 5, 6, 2), "dense": (150, 7)}[kind]
    layouts = ("channel",) if kind == "depthwise" else ("c8", "c4")
    table = FormatTable()
    _built(ActivationQuantizer(name="input", width=width, table=table))
    quantizer = WeightQuantizer(kind, depth, bits, layouts, "input", table=table)
    kernel = tf.constant(np.random.default_rng(1).laplace(size=shape).astype(np.float32))
    quantized = quantizer(kernel, True, {})
    assert quantized.shape == kernel.shape
    products = shape[0] * shape[1] if kind == "depthwise" else int(np.prod(shape[:-1]))
    flat = tf.reshape(kernel, [products, -1])
    codes = np.rint(tf.reshape(quantized, flat.shape).numpy() / quantizer.scale(flat).numpy())
    for name in layouts:
        proof = prove(codes.T.astype(int), LAYOUTS[name], depth, int(width), bits)
        assert proof.proven.all()


def test_a_kernel_that_fits_keeps_its_int8_scale() -> None:
    kernel = np.full((1, 1, 8, 3), 1e-3, np.float32)
    kernel[0, 0, 0] = 1.0
    flat = kernel.reshape(8, 3)
    scale = WeightQuantizer("conv").scale(tf.constant(flat))
    np.testing.assert_allclose(scale.numpy(), 1 / 127, rtol=1e-6)


def test_width_and_weights_feel_the_bound() -> None:
    table = FormatTable()
    variables = _built(ActivationQuantizer(name="input", table=table))
    quantizer = WeightQuantizer("conv", input_format="input", table=table)
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(1, 1, 256, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(quantizer(kernel, True, {}) - kernel))
    dkernel, dwidth = tape.gradient(loss, [kernel, variables["log2_width"]])
    assert np.isfinite(dkernel.numpy()).all()
    assert float(dwidth) > 0  # fewer activation codes leave room for finer weights


class _Wrapper(keras.layers.Layer):
    """What a quantizer is built on: a layer that holds another one."""

    def __init__(self, kernel: np.ndarray) -> None:
        super().__init__()
        self.layer = keras.layers.Layer()
        self.layer.kernel = tf.Variable(kernel)


def test_penalty_counts_excess_bits_by_worth_and_ramp() -> None:
    kernel = np.full((1, 1, 128, 2), 1.0, np.float32)
    kernel[..., 1] = 0.0
    kernel[0, 0, 0, 1] = 1.0
    quantizer = WeightQuantizer("conv", regularization=0.5, mac_share=0.9, worth=0.25)
    wrapper = _Wrapper(kernel)
    quantizer.build(kernel.shape, "kernel", wrapper)
    # Blocks of 16 codes of 127 in one channel, a lone code in the other.
    excess = np.log2(255 * 16 * 127 / 65535)
    expected = 0.5 * 0.25 * excess**2 / 2
    assert float(quantizer.penalty()) == pytest.approx(expected, rel=1e-5)
    assert [float(loss) for loss in wrapper.losses] == [float(quantizer.penalty())]
    quantizer.table.schedule().assign(True, False, 0.5, 0.1)
    assert float(quantizer.penalty()) == pytest.approx(0.5 * expected, rel=1e-5)


def test_step_is_the_real_value_of_one_code() -> None:
    table = FormatTable()
    closed = _built(ActivationQuantizer(name="closed", width=100, table=table))
    opened = _built(ActivationQuantizer("open", name="open", table=table))
    closed["log2_clip"].assign(3.0)
    opened["low"].assign(-1.0)
    opened["high"].assign(4.1)
    assert table.scale("closed") == pytest.approx(0.08)
    assert table.scale("open") == pytest.approx(0.02)
    assert table.scale("unknown") is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: ActivationQuantizer("half"),
        lambda: ActivationQuantizer(width=300),
        lambda: WeightQuantizer("dens"),
        lambda: WeightQuantizer(depth=0),
        lambda: WeightQuantizer(accumulator_bits=20),
    ],
)
def test_wrong_arguments_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="got"):
        make()


@pytest.mark.parametrize("quantizer", [ActivationQuantizer("open"), WeightQuantizer("dense", 8)])
def test_config_round_trip(quantizer: Any) -> None:
    copy = type(quantizer)(**quantizer.get_config())
    assert copy.get_config() == quantizer.get_config()
