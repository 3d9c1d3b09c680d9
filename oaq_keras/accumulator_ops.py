# SPDX-License-Identifier: Apache-2.0
"""The accumulator bound of `accumulator`, as differentiable TensorFlow ops for training.

Works on real-valued weights in units of codes as well as on codes. `accumulator` is the exact
counterpart for files, and what is exported is judged by that one alone.

Both terms of the bound are linear in the size of the weights, rho(w / s) = rho(w) / s, so training
never divides a kernel by its scales to learn what it would overflow.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras._keras import tf
from oaq_keras.accumulator import PAIR_LIMIT_POSITIVE, limit
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
    blocks = largest_block(tf.abs(weights), depth, layouts)
    load = width * blocks / float(limit(accumulator_bits))
    if not takes_pairs(layouts):
        return load
    return tf.maximum(load, width * largest_pair(weights) / float(PAIR_LIMIT_POSITIVE))


def takes_pairs(layouts: Sequence[str]) -> bool:
    """Whether one of the layouts is added by an instruction that saturates pairs of products."""
    return any(LAYOUTS[name].products_per_step == 2 for name in layouts)


def largest_pair(weights: Any) -> Any:
    """The most that the codes of a pair, those of one sign, add up to: |a + b| where signs agree.

    A pair whose signs differ counts its larger code alone. Codes of 127 times 255 steps fit, so no
    such pair ever saturates, and |a + b| < max(|a|, |b|) stands for it here.

    Args:
      weights: float32 [products, channels]; pairs are (0, 1), (2, 3) and so on.

    Returns:
      float32 [channels].
    """
    products, channels = weights.shape
    if products % 2:
        weights = tf.pad(weights, [[0, 1], [0, 0]])
    pairs = tf.reduce_sum(tf.reshape(weights, [-1, 2, channels]), axis=1)
    return tf.reduce_max(tf.abs(pairs), axis=0)


def largest_block(magnitudes: Any, depth: int, layouts: Sequence[str]) -> Any:
    """The largest sum of magnitudes that one lane meets in one block, in any of the layouts.

    Args:
      magnitudes: float32 [products, channels], not negative.
      depth: accumulation depth T.
      layouts: names out of "c8", "c4", "channel".

    Returns:
      float32 [channels].
    """
    chosen = [LAYOUTS[name] for name in layouts]
    sums = [
        _block_sums(magnitudes, *group) for group in _chunks(magnitudes.shape[0], depth, chosen)
    ]
    largest = [tf.reduce_max(each, axis=[0, 1]) for each in sums]
    return largest[0] if len(largest) == 1 else tf.reduce_max(tf.stack(largest), axis=0)


def _chunks(
    products: int, depth: int, layouts: Sequence[Layout]
) -> list[tuple[int, list[tuple[Layout, int]]]]:
    """Chunks of consecutive products that hold whole blocks, and the layouts that share them.

    Returns:
      (products of a chunk, [(layout, products of all its lanes' blocks)]) entries. Lanes take
      turns, so a block of each lane lies in as many consecutive products as they take together.
    """
    spans = []
    for layout in layouts:
        width = layout.lanes * layout.products_per_step
        steps = min(layout.steps_per_block(depth), layout.steps(products))
        spans.append((layout, steps * width))
    longest = max(span for _, span in spans)
    if longest >= products:
        # One chunk holds all products, so the layout that is never drained may take more zeros.
        size = max(math.lcm(*(span for _, span in spans if span < products), 1), 1)
        size *= -(-longest // size)
        shared = [(layout, size if span >= products else span) for layout, span in spans]
        if size <= 2 * longest and all(
            size % (layout.lanes * layout.products_per_step) == 0 for layout, _ in shared
        ):
            return [(size, shared)]
    if all(longest % span == 0 for _, span in spans):
        return [(longest, spans)]
    return [(span, [(layout, span)]) for layout, span in spans]


def _block_sums(magnitudes: Any, size: int, parts: list[tuple[Layout, int]]) -> Any:
    """[chunks, sums of a chunk, channels]: a product with a constant matrix of zeros and ones.

    That is faster than sums over strided dimensions, forward and backward.
    """
    products, channels = magnitudes.shape
    missing = -products % size
    padded = tf.pad(magnitudes, [[0, missing], [0, 0]]) if missing else magnitudes
    chunks = tf.reshape(padded, [-1, size, channels])
    if len(parts) == 1 and parts[0][0].lanes == 1:
        return tf.reduce_sum(chunks, axis=1, keepdims=True)
    members = np.concatenate([_members(layout, span, size) for layout, span in parts])
    return tf.matmul(tf.constant(members), chunks)


def _members(layout: Layout, span: int, size: int) -> NDArray[np.float32]:
    """[blocks * lanes, size]: one where a product of a chunk belongs to a lane's block."""
    position = np.arange(size)
    lane = position // layout.products_per_step % layout.lanes
    owner = position // span * layout.lanes + lane
    rows = np.arange(size // span * layout.lanes)
    return np.asarray(owner[None] == rows[:, None], np.float32)
