# SPDX-License-Identifier: Apache-2.0
"""The accumulator bound of `accumulator`, as differentiable TensorFlow ops for training.

Works on real-valued weights in units of codes as well as on codes. `accumulator` is the exact
counterpart for files, and what is exported is judged by that one alone.
"""

from collections.abc import Sequence
from typing import Any

from oaq_keras._keras import tf
from oaq_keras.accumulator import PAIR_LIMIT_POSITIVE
from oaq_keras.layouts import LAYOUTS, Layout


def worst_case_load(
    weights: Any, width: Any, depth: int, accumulator_bits: int, layouts: Sequence[str]
) -> Any:
    """rho: the worst case of a channel's fullest block as a share of what its accumulator holds.

    rho_c = width * max over blocks B of sum_B |q| / (2^accumulator_bits - 1), and for the `c4`
    layout the same for a pair of products, which VPMADDUBSW saturates. A channel is safe where
    rho_c <= 1. (Xie et al., arXiv 2005.13297; the L1 form is that of A2Q+, arXiv 2401.10432.)

    Args:
      weights: float32 [products, channels], in units of codes; products in the order of the file
        (filter height, filter width, input channel).
      width: float32 scalar, hi - lo of the input's codes.
      depth: accumulation depth T, products a lane adds between two drains.
      accumulator_bits: bits of a lane, 8 to 16.
      layouts: names out of "c8", "c4", "channel".

    Returns:
      float32 [channels].
    """
    limit = float(2**accumulator_bits - 1)
    loads = []
    for name in layouts:
        layout = LAYOUTS[name]
        loads.append(width * _largest_block(tf.abs(weights), depth, layout) / limit)
        if layout.products_per_step == 2:
            pairs = _split(weights, layout.products_per_step)
            positive = tf.reduce_sum(tf.nn.relu(pairs), axis=1)
            negative = tf.reduce_sum(tf.nn.relu(-pairs), axis=1)
            largest = tf.reduce_max(tf.maximum(positive, negative), axis=0)
            loads.append(width * largest / float(PAIR_LIMIT_POSITIVE))
    return tf.reduce_max(tf.stack(loads), axis=0)


def _split(values: Any, size: int) -> Any:
    """[products, channels] -> [groups, size, channels], padded with zero weights."""
    missing = -values.shape[0] % size
    padded = tf.pad(values, [[0, missing], [0, 0]]) if missing else values
    return tf.reshape(padded, [-1, size, values.shape[1]])


def _largest_block(magnitudes: Any, depth: int, layout: Layout) -> Any:
    """Largest sum of |q| that one lane of `layout` meets in one block, per channel."""
    products, channels = magnitudes.shape
    steps = min(layout.steps_per_block(depth), layout.steps(products))
    width = layout.lanes * layout.products_per_step
    blocks = tf.reshape(
        _split(magnitudes, steps * width),
        [-1, steps, layout.lanes, layout.products_per_step, channels],
    )
    return tf.reduce_max(tf.reduce_sum(blocks, axis=[1, 3]), axis=[0, 1])
