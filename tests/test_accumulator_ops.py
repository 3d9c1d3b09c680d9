# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from oaq_keras.accumulator import limit, prove  # noqa: E402
from oaq_keras.accumulator_ops import worst_case_load  # noqa: E402
from oaq_keras.layouts import LAYOUTS, NEVER_DRAINED  # noqa: E402


@pytest.mark.parametrize("layouts", [("c8",), ("c4",), ("channel",), ("c8", "c4")])
@pytest.mark.parametrize("depth", [1, 2, 5, 16, NEVER_DRAINED])
@pytest.mark.parametrize("products", [1, 7, 27, 200])
@pytest.mark.parametrize(("width", "bits"), [(127, 16), (255, 16), (203, 12)])
def test_equals_the_exact_bound_on_codes(
    layouts: tuple[str, ...], depth: int, products: int, width: int, bits: int
) -> None:
    codes = np.random.default_rng(products).integers(-127, 128, (6, products))
    expected = []
    for name in layouts:
        proof = prove(codes, LAYOUTS[name], depth, width, bits)
        expected.append(proof.worst_case / limit(bits))
        if proof.pair_worst_case is not None:
            expected.append(proof.pair_worst_case / (2**15 - 1))
    load = worst_case_load(
        tf.constant(codes.T, tf.float32), tf.constant(float(width)), depth, bits, layouts
    )
    # A pair whose signs differ never saturates, and is left out.
    harmless = width * 127 / (2**15 - 1)
    np.testing.assert_allclose(
        np.maximum(load.numpy(), harmless),
        np.maximum(np.max(expected, axis=0), harmless),
        rtol=1e-6,
    )


def test_gradient_shrinks_the_weights_of_the_fullest_block_alone() -> None:
    weights = np.ones((32, 1), np.float32)
    weights[16:] = -3.0
    kernel, width = tf.Variable(weights), tf.Variable(127.0)
    with tf.GradientTape() as tape:
        load = worst_case_load(kernel, width, 16, 16, ("channel",))
    dkernel, dwidth = tape.gradient(load, [kernel, width])
    np.testing.assert_allclose(dkernel.numpy()[:16], 0.0)
    np.testing.assert_allclose(dkernel.numpy()[16:], -127 / 65535, rtol=1e-6)
    np.testing.assert_allclose(dwidth.numpy(), 48 / 65535, rtol=1e-6)
