# SPDX-License-Identifier: Apache-2.0
"""The bound: when do the products of a block fit an accumulator of `accumulator_bits`?

For activation codes in [lo, hi], the sums that a block B of weight codes q can reach span exactly

    (hi - lo) * sum_B |q|

whatever the signs: each product spans (hi - lo) * |q|, and they are independent. Lanes are
arithmetic modulo 2^bits, so only the value at the drain has to fit, and a constant start value may
centre its range. A block is therefore safe if and only if that span is at most 2^bits - 1.

The idea of training for it: Xie et al., arXiv 2005.13297. The L1 norm as the bound of a dot
product: A2Q, arXiv 2308.13504; with centring: A2Q+, arXiv 2401.10432. Start values make the
centring unnecessary here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras.layouts import Layout, lane_steps

# What one VPMADDUBSW pair may add up to before the instruction saturates. A fact of the
# instruction, whatever accumulator its results are added into.
PAIR_LIMIT_POSITIVE = 32767
PAIR_LIMIT_NEGATIVE = 32768

# `prove` works on this many codes at a time; they grow to a few 64-bit integers each.
_CODES_AT_ONCE = 1 << 21


def limit(accumulator_bits: int = 16) -> int:
    """Largest safe worst case, 2^bits - 1: an accumulator holds 2^bits values in a row."""
    if not 2 <= accumulator_bits <= 32:
        raise ValueError(f"accumulator_bits is {accumulator_bits}; expected 2 to 32")
    return int(2**accumulator_bits - 1)


def worst_case(
    codes: NDArray[np.integer], layout: Layout, depth: int, width: int
) -> NDArray[np.int64]:
    """The widest span any block of a channel can reach.

    Args:
      codes: [channels, products] weight codes.
      layout: how products are dealt to lanes.
      depth: accumulation depth T in products.
      width: hi - lo of the activation range, in codes.

    Returns:
      [channels] int64, `width * max over blocks of sum |q|`; exact, safe up to `limit()`.

    Raises:
      ValueError: a shape, the depth or the width is not what is described above.
    """
    return _block_max(lane_steps(codes, layout), layout.steps_per_block(depth)) * _checked(width)


def headroom(worst: NDArray[np.int64] | int, accumulator_bits: int = 16) -> NDArray[np.float64]:
    """Bits between a worst case and the limit: `-log2(worst / limit)`, negative when unsafe.

    A worst case of 0 counts as 1, so the result is finite.
    """
    ratio = np.maximum(np.asarray(worst, np.float64), 1.0) / limit(accumulator_bits)
    bits: NDArray[np.float64] = 0.0 - np.log2(ratio)  # not -log2: a full lane has 0.0, not -0.0
    return bits


def max_depth(
    codes: NDArray[np.integer], layout: Layout, width: int, accumulator_bits: int = 16
) -> NDArray[np.int64]:
    """The largest uniform T at which every block of a channel is safe.

    Args and errors as for `worst_case`.

    Returns:
      [channels] int64: equal to `layout.share(products)` where the channel is never drained, 0
      where not even a single step is safe.
    """
    return _max_steps(lane_steps(codes, layout), _checked(width), limit(accumulator_bits)) * (
        layout.products_per_step
    )


def pair_worst_case(
    codes: NDArray[np.integer], layout: Layout, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the worst pair of a channel adds up to, for layouts that take pairs.

    The instruction multiplies u8 by s8, so activations are shifted to [0, width] first.

    Returns:
      Two [channels] int64: `width * max over pairs of the sum of positive codes`, safe up to
      32767, and the same for the magnitudes of the negative codes, safe up to 32768.
    """
    if layout.products_per_step != 2:
        raise ValueError(f"layout {layout.name} adds one product at a time, it has no pairs")
    pairs = layout.split(codes)
    positive = np.maximum(pairs, 0).sum(axis=3).max(axis=(0, 2))
    negative = np.maximum(-pairs, 0).sum(axis=3).max(axis=(0, 2))
    return positive * _checked(width), negative * width


@dataclass(frozen=True)
class LayoutProof:
    """What is proven about one layer in one layout. Arrays are [channels].

    Attributes:
      share: products a lane sees in all.
      worst_case: int64, `width * max L1` over the blocks of the required depth.
      max_depth: int64, the largest safe uniform T; 0 where none is, or a pair may saturate.
      pair_worst_case: int64, the larger of both signs; None where the layout takes no pairs.
      proven: bool, every block of the required depth (and every pair) is safe.
      never_drained: bool, the whole share is safe (and every pair).
    """

    share: int
    worst_case: NDArray[np.int64]
    max_depth: NDArray[np.int64]
    pair_worst_case: NDArray[np.int64] | None
    proven: NDArray[np.bool_]
    never_drained: NDArray[np.bool_]


def prove(
    codes: NDArray[np.integer],
    layout: Layout,
    depth: int,
    width: int,
    accumulator_bits: int = 16,
) -> LayoutProof:
    """Prove what can be proven of a weight matrix [channels, products] in one layout.

    Arguments and errors as for `worst_case` and `limit`. Memory stays bounded for any number of
    channels.
    """
    limit(accumulator_bits)
    rows = max(1, _CODES_AT_ONCE // max(1, codes.shape[-1]))
    parts = [
        _prove_rows(codes[i : i + rows], layout, depth, _checked(width), accumulator_bits)
        for i in range(0, max(1, codes.shape[0]), rows)
    ]
    if len(parts) == 1:
        return parts[0]
    joined: dict[str, Any] = {
        name: None if first is None else np.concatenate([getattr(part, name) for part in parts])
        for name, first in vars(parts[0]).items()
        if name != "share"
    }
    return LayoutProof(share=parts[0].share, **joined)


def _prove_rows(
    codes: NDArray[np.integer], layout: Layout, depth: int, width: int, accumulator_bits: int
) -> LayoutProof:
    bound = limit(accumulator_bits)
    sums = lane_steps(codes, layout)
    worst = _block_max(sums, layout.steps_per_block(depth)) * width
    deepest = _max_steps(sums, width, bound) * layout.products_per_step
    share = layout.share(codes.shape[1])
    proven = worst <= bound
    pairs: NDArray[np.int64] | None = None
    if layout.products_per_step == 2:
        positive, negative = pair_worst_case(codes, layout, width)
        exact = (positive <= PAIR_LIMIT_POSITIVE) & (negative <= PAIR_LIMIT_NEGATIVE)
        pairs = np.maximum(positive, negative)
        proven = proven & exact
        deepest = np.where(exact, deepest, 0)
    return LayoutProof(share, worst, deepest, pairs, proven, deepest == share)


def _checked(width: int) -> int:
    if width < 0:
        raise ValueError(f"activation width hi - lo is {width}; expected 0 or more")
    return int(width)


def _block_max(sums: NDArray[np.int64], steps_per_block: int) -> NDArray[np.int64]:
    starts = np.arange(0, sums.shape[0], steps_per_block)
    largest: NDArray[np.int64] = np.add.reduceat(sums, starts, axis=0).max(axis=(0, 2))
    return largest


def _max_steps(sums: NDArray[np.int64], width: int, bound: int) -> NDArray[np.int64]:
    """Largest safe block length in steps, per channel.

    Safety is not monotone in T, since blocks are aligned to multiples of it: a longer T may split
    two large codes that a shorter one adds. So every T is tried, from the whole share down, on the
    channels still undecided; a running total makes each try a subtraction.
    """
    steps, channels, lanes = sums.shape
    result = np.zeros(channels, np.int64)
    bound_l1 = bound // width if width else np.iinfo(np.int64).max
    totals = np.zeros((steps + 1, channels, lanes), np.int64)
    np.cumsum(sums, axis=0, out=totals[1:])
    undecided = np.arange(channels)
    for length in range(steps, 0, -1):
        edges = np.append(np.arange(0, steps, length), steps)
        safe = (np.diff(totals[edges], axis=0) <= bound_l1).all(axis=(0, 2))
        if not safe.any():
            continue
        result[undecided[safe]] = length
        undecided, totals = undecided[~safe], totals[:, ~safe]
        if undecided.size == 0:
            break
    return result
