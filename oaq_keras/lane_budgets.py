# SPDX-License-Identifier: Apache-2.0
"""The bound as budgets: how much the codes of each block, and of each pair, may add up to.

The same fact as in `accumulator`, read the other way round. A block of products is safe if its sum
of |q| is at most (2^bits - 1) // (hi - lo), so whoever chooses codes may spend that much on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oaq_keras.accumulator import PAIR_LIMIT_NEGATIVE, PAIR_LIMIT_POSITIVE, limit
from oaq_keras.formats import CODES
from oaq_keras.layouts import Layout


@dataclass(frozen=True)
class Budget:
    """What the codes of each of some disjoint groups may add up to.

    Attributes:
      group: [products], the group that each product belongs to.
      groups: how many there are.
      sign: 0 where magnitudes count, 1 or -1 where only codes of that sign do.
      most: the largest sum that is safe.
    """

    group: NDArray[np.intp]
    groups: int
    sign: int
    most: int

    def cost(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """What each code takes of its group's budget."""
        return np.asarray(np.maximum(self.sign * codes, 0) if self.sign else np.abs(codes))

    def spent(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """[channels, groups] sums of the costs of codes [channels, products]."""
        total = np.zeros((len(codes), self.groups), np.int64)
        np.add.at(total.T, self.group, self.cost(codes.astype(np.int64)).T)
        return total


def lane_budgets(
    phases: Sequence[NDArray[np.intp]],
    layouts: Sequence[Layout],
    depth: int,
    width: int,
    accumulator_bits: int = 16,
) -> tuple[Budget, ...]:
    """Budgets that are kept exactly where `accumulator.prove` proves every layout.

    Args:
      phases: which taps an output sums, as in `Int8Layer`; together they are all taps.
      layouts: how products are dealt to lanes.
      depth: accumulation depth T in products.
      width: hi - lo of the activation range, in codes.
      accumulator_bits: bits of a lane.
    """
    taps = sum(phase.size for phase in phases)
    found = []
    for layout in layouts:
        blocks, pairs = _groups(phases, layout, depth, taps)
        found.append(_budget(blocks, 0, limit(accumulator_bits), width))
        if layout.products_per_step == 2:
            found.append(_budget(pairs, 1, PAIR_LIMIT_POSITIVE, width))
            found.append(_budget(pairs, -1, PAIR_LIMIT_NEGATIVE, width))
    most_of_all = 2 * CODES.weight_max
    return tuple(b for b in found if b.sign == 0 or b.most < most_of_all)


def load(codes: NDArray[np.integer], budgets: Sequence[Budget]) -> NDArray[np.float64]:
    """[channels], the largest share of a budget that is spent; safe up to 1."""
    found = np.zeros(len(codes))
    for budget in budgets:
        spent = budget.spent(codes).max(axis=1)
        found = np.maximum(found, spent / budget.most if budget.most else 2.0 * (spent > 0))
    return found


def _budget(group: NDArray[np.intp], sign: int, most: int, width: int) -> Budget:
    enough = CODES.weight_max * group.size
    return Budget(group, int(group.max()) + 1, sign, most // width if width else enough)


def _groups(
    phases: Sequence[NDArray[np.intp]], layout: Layout, depth: int, taps: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Block and pair of every tap, numbered through all phases."""
    blocks, pairs = np.zeros(taps, np.intp), np.zeros(taps, np.intp)
    first_block = first_pair = 0
    for phase in phases:
        # Dealing positions, counted from 1, shows where each goes: zeros are padding.
        dealt = layout.split(1 + np.arange(phase.size)[None])[:, 0]
        step, lane, _ = np.indices(dealt.shape)
        block = step // layout.steps_per_block(depth) * layout.lanes + lane
        pair = step * layout.lanes + lane
        real = dealt > 0
        tap = phase[dealt[real] - 1]
        blocks[tap], pairs[tap] = first_block + block[real], first_pair + pair[real]
        first_block, first_pair = first_block + block.max() + 1, first_pair + pair.max() + 1
    return blocks, pairs
