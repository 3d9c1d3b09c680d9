# SPDX-License-Identifier: Apache-2.0
"""Rounds the weights of a layer to codes that fit the lanes, with the least error of its output.

With weights w, codes q, scale s and second moments H of the layer's inputs, the mean squared error
of an output is (w - s q)' H (w - s q). Plain inflation takes the scale at which the worst block
fits, and rounds to nearest. Here a finer scale is taken where that is better: blocks that do not
fit then lose their smallest codes first (the projection on an L1 ball), and what an input's code
leaves over is made up for by those after it.

The error feedback is that of GPTQ (Frantar et al., arXiv 2210.17323), the thresholds with it those
of AXE (Colbert et al., arXiv 2409.17092), the descent by coordinates after it that of QuantEase
(Behdin et al., arXiv 2309.01885).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oaq_keras.formats import CODES
from oaq_keras.lane_budgets import Budget, load

_FLOATS = NDArray[np.float64]

_SHARES = (0.9, 1.0, 1.05)
_SHARES_OF_FEW = tuple(np.linspace(0.8, 1.5, 48))
_FEW = 32
"""Scales to try, as shares of those of plain inflation; more for few products, whose error is a
matter of luck."""

_DAMPING = 1.0
_SWEEPS = 3
_AT_ONCE = 64
_MARGIN = 1.0005
_PASSES = 20


@dataclass(frozen=True)
class Rounded:
    """Codes of a layer, and what they lose.

    Attributes:
      codes: [channels, products] int8, within all budgets.
      scale: [channels] float64.
      error: [channels] float64, the mean squared error of each output.
    """

    codes: NDArray[np.int8]
    scale: _FLOATS
    error: _FLOATS


def damped(moments: _FLOATS) -> _FLOATS:
    """Second moments [..., products, products] with a little of their mean on the diagonal."""
    products = moments.shape[-1]
    mean = np.trace(moments, axis1=-2, axis2=-1) / products
    mean = np.where(mean > 0, mean, 1.0)
    return moments + (_DAMPING * mean)[..., None, None] * np.eye(products)


def error(
    weights: _FLOATS, codes: NDArray[np.integer], scale: _FLOATS, moments: _FLOATS
) -> _FLOATS:
    """[channels] (w - s q)' H (w - s q)."""
    left = weights - scale[:, None] * codes
    found: _FLOATS = np.maximum((_times(left, moments) * left).sum(axis=1), 0.0)
    return found


def inflated(
    weights: _FLOATS,
    scale: _FLOATS,
    moments: _FLOATS,
    budgets: Sequence[Budget],
    *,
    one_scale: bool = False,
    kept: NDArray[np.bool_] | bool = True,
) -> Rounded:
    """Rounds to nearest at the smallest scales, from the given ones up, at which all fits.

    Args are those of `round_bounded`.
    """
    wanted = weights * kept
    factor = np.ones(len(weights))
    for _ in range(_PASSES):
        codes = _nearest(wanted, scale * factor)
        excess = load(codes, budgets)
        if one_scale:
            excess = np.full_like(excess, excess.max())
        if (excess <= 1.0).all():
            break
        factor = np.where(excess > 1.0, factor * excess * _MARGIN, factor)
    codes = _trimmed(_nearest(wanted, scale * factor), budgets)
    return Rounded(
        codes.astype(np.int8), scale * factor, error(weights, codes, scale * factor, moments)
    )


def round_bounded(
    weights: _FLOATS,
    scale: _FLOATS,
    moments: _FLOATS,
    budgets: Sequence[Budget],
    *,
    one_scale: bool = False,
    kept: NDArray[np.bool_] | None = None,
) -> Rounded:
    """Codes within all budgets whose error is that of `inflated` at most, as a rule far less.

    Args:
      weights: [channels, products] real weights.
      scale: [channels], the finest scales to take; all equal with `one_scale`.
      moments: positive definite second moments of the inputs, [products, products], or
        [channels, products, products] where every channel has inputs of its own.
      budgets: of `lane_budgets`.
      one_scale: whether all channels must have the same scale.
      kept: [channels, products], False where a code must be 0; all may be others by default.

    Returns:
      The best codes found; the same ones for the same arguments.
    """
    kept = np.ones(weights.shape, np.bool_) if kept is None else kept
    best = inflated(weights, scale, moments, budgets, one_scale=one_scale, kept=kept)
    power = np.diagonal(moments, axis1=-2, axis2=-1).reshape(-1, weights.shape[1])
    order = np.argsort(-power.mean(axis=0), kind="stable")
    feedback = _feedback(moments[..., order[:, None], order])
    first = best.scale
    ordered = [_ordered(budget, order) for budget in budgets]
    for share in _SHARES_OF_FEW if weights.shape[1] <= _FEW else _SHARES:
        tried = first * share
        codes = np.zeros(weights.shape, np.int64)
        codes[:, order] = _with_feedback(
            weights[:, order], tried, feedback, ordered, kept[:, order]
        )
        best = _better(best, _refitted(weights, codes, tried, moments, one_scale), one_scale)
    codes = _descended(weights, best.codes.astype(np.int64), best.scale, moments, budgets, kept)
    return _better(best, _refitted(weights, codes, best.scale, moments, one_scale), one_scale)


def _better(first: Rounded, second: Rounded, one_scale: bool) -> Rounded:
    """The better one, channel by channel where channels have scales of their own."""
    if one_scale:
        return first if first.error.sum() <= second.error.sum() else second
    wins = second.error < first.error
    return Rounded(
        np.where(wins[:, None], second.codes, first.codes),
        np.where(wins, second.scale, first.scale),
        np.where(wins, second.error, first.error),
    )


def _refitted(
    weights: _FLOATS, codes: NDArray[np.int64], scale: _FLOATS, moments: _FLOATS, one_scale: bool
) -> Rounded:
    """With the scales of least error for these codes: budgets know codes alone."""
    projected = _times(codes.astype(np.float64), moments)
    above, below = (projected * weights).sum(axis=1), (projected * codes).sum(axis=1)
    if one_scale:
        above, below = np.full_like(above, above.sum()), np.full_like(below, below.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        fitted = np.where((below > 0) & (above > 0), above / below, scale)
    return Rounded(codes.astype(np.int8), fitted, error(weights, codes, fitted, moments))


def _times(rows: _FLOATS, moments: _FLOATS) -> _FLOATS:
    """rows[c] @ moments, or rows[c] @ moments[c]."""
    if moments.ndim == 2:
        return rows @ moments
    found: _FLOATS = np.matmul(rows[:, None], moments)[:, 0]
    return found


def _nearest(weights: _FLOATS, scale: _FLOATS) -> NDArray[np.int64]:
    most = CODES.weight_max
    return np.clip(np.rint(weights / scale[:, None]), -most, most).astype(np.int64)


def _trimmed(codes: NDArray[np.int64], budgets: Sequence[Budget]) -> NDArray[np.int64]:
    """Codes of groups over their budget, moved towards zero, the largest first."""
    for budget in budgets:
        while (over := budget.spent(codes) > budget.most).any():
            cost = np.where(over[:, budget.group], budget.cost(codes), 0)
            rows = np.flatnonzero(over.any(axis=1))
            at = cost[rows].argmax(axis=1)
            codes[rows, at] -= np.sign(codes[rows, at])
    return codes


def _ordered(budget: Budget, order: NDArray[np.intp]) -> Budget:
    return Budget(budget.group[order], budget.groups, budget.sign, budget.most)


def _feedback(moments: _FLOATS) -> _FLOATS:
    """How an error at one product is shared out among those after it; [1 or channels, k, k].

    Row k is that of the upper Cholesky factor U, H^-1 = U' U, its diagonal divided out.
    """
    inverse = np.linalg.inv(moments if moments.ndim == 3 else moments[None])
    upper = np.linalg.cholesky((inverse + inverse.swapaxes(1, 2)) / 2).swapaxes(1, 2)
    found: _FLOATS = upper / np.diagonal(upper, axis1=1, axis2=2)[:, :, None]
    return found


def _with_feedback(
    weights: _FLOATS,
    scale: _FLOATS,
    feedback: _FLOATS,
    budgets: Sequence[Budget],
    kept: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Rounds product by product, spending budgets, errors made up for by later products."""
    # Products first: one at a time is taken of all channels.
    real = np.ascontiguousarray((weights / scale[:, None]).T)
    threshold = _thresholds(real, budgets)
    left = [np.full((budget.groups, len(weights)), budget.most, np.int64) for budget in budgets]
    codes = np.zeros(real.shape, np.int64)
    products = len(real)
    for start in range(0, products, _AT_ONCE):
        stop = min(start + _AT_ONCE, products)
        errors = np.zeros((stop - start, len(weights)))
        for k in range(start, stop):
            wanted = real[k]
            shrunk = np.copysign(np.maximum(np.abs(wanted) - threshold[k], 0.0), wanted)
            codes[k] = _spent_within(shrunk * kept[:, k], k, budgets, left)
            errors[k - start] = wanted - codes[k]
            real[k + 1 : stop] -= feedback[:, k, k + 1 : stop].T * errors[k - start]
        real[stop:] -= _shared_out(errors, feedback[:, start:stop, stop:])
    return np.ascontiguousarray(codes.T)


def _descended(
    weights: _FLOATS,
    codes: NDArray[np.int64],
    scale: _FLOATS,
    moments: _FLOATS,
    budgets: Sequence[Budget],
    kept: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Sets one code after another to the best that its budgets have left; the error never rises."""
    gradient = np.ascontiguousarray(_times(codes - weights / scale[:, None], moments).T)
    left = [np.ascontiguousarray(budget.most - budget.spent(codes).T) for budget in budgets]
    codes = np.ascontiguousarray(codes.T)
    each = moments if moments.ndim == 3 else moments[None]
    products = len(codes)
    for _ in range(_SWEEPS):
        moved = False
        for start in range(0, products, _AT_ONCE):
            stop = min(start + _AT_ONCE, products)
            steps = np.zeros((stop - start, len(weights)))
            near = gradient[start:stop].copy()
            for k in range(start, stop):
                before = codes[k].copy()
                for budget, rest in zip(budgets, left, strict=True):
                    rest[budget.group[k]] += budget.cost(before)
                best = before - near[k - start] / each[:, k, k]
                codes[k] = _spent_within(best * kept[:, k], k, budgets, left)
                step = codes[k] - before
                if step.any():
                    steps[k - start] = step
                    near += each[:, k, start:stop].T * step
            if steps.any():
                moved = True
                gradient += _shared_out(steps, each[:, start:stop])
        if not moved:
            break
    return np.ascontiguousarray(codes.T)


def _shared_out(rows: _FLOATS, by: _FLOATS) -> _FLOATS:
    """[others, channels] sum over k of by[0 or channel, k, other] * rows[k, channel]."""
    found: _FLOATS = by[0].T @ rows if len(by) == 1 else np.einsum("cko,kc->oc", by, rows)
    return found


def _spent_within(
    wanted: _FLOATS, k: int, budgets: Sequence[Budget], left: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Codes of product k, as near to the wanted ones as is left for, and taken off what is left."""
    low, high = -CODES.weight_max, CODES.weight_max
    for budget, rest in zip(budgets, left, strict=True):
        there = rest[budget.group[k]]
        high = np.minimum(high, there) if budget.sign >= 0 else high
        low = np.maximum(low, -there) if budget.sign <= 0 else low
    codes = np.clip(np.rint(wanted), low, high).astype(np.int64)
    for budget, rest in zip(budgets, left, strict=True):
        rest[budget.group[k]] -= budget.cost(codes)
    return codes


def _thresholds(real: _FLOATS, budgets: Sequence[Budget]) -> _FLOATS:
    """By how much magnitudes shrink where each block is projected on the L1 ball it must fit."""
    found = np.zeros_like(real)
    for budget in budgets:
        if budget.sign:
            continue
        for group in range(budget.groups):
            members = np.flatnonzero(budget.group == group)
            sizes = -np.sort(-np.abs(real[members]), axis=0)
            over = np.cumsum(sizes, axis=0) - budget.most
            # It is the largest of these: they rise as long as the next size exceeds them.
            threshold = (over / np.arange(1, members.size + 1)[:, None]).max(axis=0)
            found[members] = np.maximum(found[members], threshold)
    return found
