# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from oaq_keras.accumulator import prove
from oaq_keras.lane_budgets import lane_budgets, load
from oaq_keras.layouts import C4, C8, CHANNEL, NEVER_DRAINED, Layout

EVERY = {"c8": (C8,), "c4": (C4,), "both": (C8, C4), "channel": (CHANNEL,)}


@pytest.mark.parametrize("layouts", EVERY.values(), ids=EVERY.keys())
@pytest.mark.parametrize("depth", [1, 3, 16, NEVER_DRAINED])
@pytest.mark.parametrize("width", [0, 1, 100, 127, 203, 255])
@pytest.mark.parametrize("largest", [20, 127])
def test_budgets_are_kept_exactly_where_it_is_proven(
    layouts: tuple[Layout, ...], depth: int, width: int, largest: int
) -> None:
    codes = np.random.default_rng(1).integers(-largest, largest + 1, (40, 75))
    codes[:20] //= 4
    budgets = lane_budgets([np.arange(75)], layouts, depth, width)
    proven = np.all([prove(codes, x, depth, width).proven for x in layouts], axis=0)
    np.testing.assert_array_equal(load(codes, budgets) <= 1.0, proven)


def test_the_last_code_that_fits_and_the_first_that_does_not() -> None:
    codes = np.zeros((2, 32), np.int64)
    codes[:, [0, 8, 16]] = [[127, 127, 3], [127, 127, 4]]
    budgets = lane_budgets([np.arange(32)], (C8,), 16, 255)
    assert (load(codes, budgets) <= 1.0).tolist() == [True, False]


def test_phases_have_budgets_of_their_own() -> None:
    phases = [np.array([0, 2, 4]), np.array([1, 3])]
    (blocks,) = lane_budgets(phases, (CHANNEL,), 16, 255)
    assert len({*blocks.group[[0, 2, 4]]}) == len({*blocks.group[[1, 3]]}) == 1
    assert blocks.groups == 2
