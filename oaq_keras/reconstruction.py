# SPDX-License-Identifier: Apache-2.0
"""Chooses the codes of one layer from what it reads: real inputs, and those it will get.

Layers before this one have errors of their own. With x what the layer should read and x' what it
will, the weights whose answers to x' come closest to those of w to x are w + w E[(x - x') x'']
E[x' x'']^-1 (a regression); these are rounded, with the moments of x'. What is left of the mean is
the bias's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oaq_keras.bounded_rounding import Rounded, damped, round_bounded
from oaq_keras.lane_budgets import Budget

_FLOATS = NDArray[np.float64]


class InputStatistics:
    """First and second moments of the two inputs of a layer, over patches.

    Patches are [patches, groups, products], groups sharing no weights; the channels of a layer are
    its groups', one after the other.
    """

    def __init__(self) -> None:
        """Knows of no patches yet."""
        self._count = 0
        self._sums: list[_FLOATS] = []

    def add(self, wanted: NDArray[np.floating], given: NDArray[np.floating]) -> None:
        """Takes in some patches, as the layer should read them and as it will."""
        off = wanted.astype(np.float64) - given
        seen = given.astype(np.float64)
        by_group = seen.transpose(1, 2, 0), off.transpose(1, 2, 0)
        added = [
            by_group[0] @ by_group[0].swapaxes(1, 2),
            by_group[1] @ by_group[0].swapaxes(1, 2),
            seen.sum(axis=0),
            off.sum(axis=0),
        ]
        self._count += len(given)
        if self._sums:
            added = [old + new for old, new in zip(self._sums, added, strict=True)]
        self._sums = added

    @property
    def mean(self) -> _FLOATS:
        """E[x'], [groups, products]."""
        return self._sums[2] / self._count

    @property
    def mean_off(self) -> _FLOATS:
        """E[x - x'], [groups, products]."""
        return self._sums[3] / self._count

    @property
    def moments(self) -> _FLOATS:
        """Covariance of x', [groups, products, products]."""
        return self._sums[0] / self._count - self.mean[:, :, None] * self.mean[:, None, :]

    @property
    def cross(self) -> _FLOATS:
        """Covariance of x - x' with x', [groups, products, products]."""
        return self._sums[1] / self._count - self.mean_off[:, :, None] * self.mean[:, None, :]


@dataclass(frozen=True)
class Reconstructed:
    """A layer's new weights.

    Attributes:
      rounded: codes, scales, and the error of each output.
      shift: [channels], what to add to the bias.
    """

    rounded: Rounded
    shift: _FLOATS


def reconstruct(
    weights: _FLOATS,
    scale: _FLOATS,
    statistics: InputStatistics,
    budgets: Sequence[Budget],
    *,
    one_scale: bool = False,
    regress: bool = True,
    kept: NDArray[np.bool_] | None = None,
) -> Reconstructed:
    """Codes within the budgets that answer the inputs to come as the weights answer real ones.

    Args:
      weights: [channels, products], real.
      scale: [channels], the finest scales to take.
      statistics: of the layer's inputs.
      budgets: of `lane_budgets`.
      one_scale: whether all channels must have the same scale.
      regress: whether to make up for errors of the layers before.
      kept: [channels, products], False where codes must be 0; all may be others by default.
    """
    moments = damped(statistics.moments)
    groups, products, _ = moments.shape
    by_group = weights.reshape(groups, -1, products)
    target = by_group
    if regress:
        target = by_group + np.linalg.solve(
            moments, (by_group @ statistics.cross).swapaxes(1, 2)
        ).swapaxes(1, 2)
    wanted = target.reshape(weights.shape)
    each = len(weights) // groups
    shared = moments[0] if groups == 1 else np.repeat(moments, each, axis=0)
    rounded = round_bounded(wanted, scale, shared, budgets, one_scale=one_scale, kept=kept)
    real = rounded.codes * rounded.scale[:, None]
    return Reconstructed(rounded, mean_shift(weights, real, statistics))


def mean_shift(weights: _FLOATS, real: _FLOATS, statistics: InputStatistics) -> _FLOATS:
    """What is left of the mean: [channels], to add to the bias.

    Args:
      weights: [channels, products], those wanted.
      real: those that the layer has.
      statistics: of the layer's inputs.
    """
    groups, products = statistics.mean.shape
    by_group = weights.reshape(groups, -1, products)
    lost = (by_group - real.reshape(by_group.shape)) @ statistics.mean[..., None]
    missing = by_group @ statistics.mean_off[..., None]
    found: _FLOATS = (lost + missing).reshape(-1)
    return found
