# SPDX-License-Identifier: Apache-2.0
"""Chooses the format of an activation tensor by what the layers that read it lose.

A narrower range makes activations coarser and lets weights be finer: a block's sum of |q| may be
65535 / (hi - lo). How much each matters differs from layer to layer, so both are measured: the
error of the answers to rounded inputs, and that of rounded weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oaq_keras.bounded_rounding import damped, error, inflated, round_bounded
from oaq_keras.formats import CODES, ActivationFormat, closed_format
from oaq_keras.lane_budgets import Budget

_FLOATS = NDArray[np.float64]

WIDTHS = (255, 223, 191, 159, 127)
"""Widths of closed formats to choose from."""

CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Shares of the largest value to clip at."""

_TYPICAL = 191


@dataclass(frozen=True)
class Reader:
    """A layer that reads the tensor.

    Attributes:
      patches: [patches, groups, products] real inputs.
      weights: [channels, products].
      scale: [channels], the finest scales.
      one_scale: whether all channels have the same.
      budgets: those of a width.
    """

    patches: NDArray[np.float32]
    weights: _FLOATS
    scale: _FLOATS
    one_scale: bool
    budgets: Callable[[int], tuple[Budget, ...]]


def choose_closed(
    values: NDArray[np.float32],
    readers: Sequence[Reader],
    largest: float | None = None,
    widths: Sequence[int] | None = None,
) -> ActivationFormat:
    """The closed format [127 - width, 127] of least error.

    Args:
      values: some of the tensor's values, none of them negative.
      readers: the layers that read it.
      largest: clips are at most this, 6.0 for ReLU6.
      widths: those to try; by default WIDTHS, or all codes where nobody reads the tensor.
    """
    top = float(values.max(initial=0.0))
    top = min(top, largest) if largest is not None else top
    if not top > 0.0:
        return closed_format(1.0, widths[0] if widths else CODES.width)
    if widths is None:
        widths = WIDTHS if readers else (CODES.width,)
    costs = [_weight_error(reader, widths) for reader in readers]
    found: list[tuple[float, ActivationFormat]] = []
    for width in widths:
        for share in CLIPS:
            tried = closed_format(top * share, width)
            lost = _lost(values, readers, tried) + sum(cost[width] for cost in costs)
            found.append((lost, tried))
    return min(found, key=lambda entry: entry[0])[1]


def choose_open(values: NDArray[np.float32], readers: Sequence[Reader]) -> ActivationFormat:
    """The format of least error that uses all codes, for values of both signs."""
    low, high = min(float(values.min(initial=0.0)), 0.0), max(float(values.max(initial=0.0)), 0.0)
    if not high > low:
        low, high = -1.0, 1.0
    found = []
    for share in CLIPS:
        tried = open_format(low * share, high * share)
        found.append((_lost(values, readers, tried), tried))
    return min(found, key=lambda entry: entry[0])[1]


def open_format(low: float, high: float) -> ActivationFormat:
    """All codes from `low` to `high`, 0.0 being one of them."""
    scale = (high - low) / CODES.width
    zero_point = round(CODES.low - low / scale)
    return ActivationFormat(scale, zero_point, CODES.low, CODES.high)


def rounded(values: NDArray[np.float32], form: ActivationFormat) -> NDArray[np.float32]:
    """What codes of a format stand for, nearest to real values."""
    scale = np.float32(form.scale)
    codes = np.rint(values / scale)
    np.clip(codes, form.low - form.zero_point, form.high - form.zero_point, out=codes)
    return np.asarray(codes * scale)


def _lost(values: NDArray[np.float32], readers: Sequence[Reader], form: ActivationFormat) -> float:
    """Share of the variance that rounding takes, of the values or of every reader's answers."""
    if not readers:
        return float(np.square(values - rounded(values, form)).mean() / _variance(values))
    return sum(
        float(_answers(reader, reader.patches - rounded(reader.patches, form)) / _power(reader))
        for reader in readers
    )


def _weight_error(reader: Reader, widths: Sequence[int]) -> dict[int, float]:
    """What the weights lose at each width.

    Rounding with feedback gains about as much over rounding to nearest at every width, so it is
    tried at one.
    """
    moments = damped(_moments(reader.patches))
    each = len(reader.weights) // len(moments)
    shared = moments[0] if len(moments) == 1 else np.repeat(moments, each, axis=0)

    def plain(width: int) -> float:
        found = inflated(
            reader.weights,
            reader.scale,
            shared,
            reader.budgets(width),
            one_scale=reader.one_scale,
        )
        return float(found.error.sum())

    best = round_bounded(
        reader.weights,
        reader.scale,
        shared,
        reader.budgets(_TYPICAL),
        one_scale=reader.one_scale,
    )
    typical = plain(_TYPICAL)
    gain = float(best.error.sum()) / typical if typical > 0 else 0.0
    whole = float(error(reader.weights, 0 * best.codes, reader.scale, shared).sum())
    return {width: gain * plain(width) / max(whole, 1e-30) for width in widths}


def _answers(reader: Reader, patches: NDArray[np.float32]) -> float:
    """Variance of the layer's answers to patches, summed over its outputs."""
    groups = patches.shape[1]
    by_group = reader.weights.reshape(groups, -1, reader.weights.shape[1]).astype(np.float32)
    answers = np.matmul(patches.transpose(1, 0, 2), by_group.swapaxes(1, 2))
    return float(answers.var(axis=1).sum())


def _power(reader: Reader) -> float:
    return max(_answers(reader, reader.patches), 1e-30)


def _variance(values: NDArray[np.float32]) -> float:
    return max(float(values.var()), 1e-30)


def _moments(patches: NDArray[np.float32]) -> _FLOATS:
    by_group = patches.astype(np.float64).transpose(1, 0, 2)
    by_group = by_group - by_group.mean(axis=1, keepdims=True)
    found: _FLOATS = by_group.swapaxes(1, 2) @ by_group / by_group.shape[1]
    return found
