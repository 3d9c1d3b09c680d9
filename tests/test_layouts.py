# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from oaq_keras.layouts import LAYOUTS, Layout, lane_blocks


def lane_of(layout: Layout, k: int) -> int:
    """The layouts as the design words them, one product at a time."""
    return {
        "c8": k % 8,
        "c4": 0 if k % 4 in (0, 1) else 1,
        "broadcast": 0,
        "channel": 0,
    }[layout.name]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("products", [1, 2, 3, 7, 8, 9, 27, 32, 65])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 16, 1000])
def test_lane_blocks_match_their_definition(layout: Layout, products: int, depth: int) -> None:
    codes = np.random.default_rng(products).integers(-128, 128, (3, products)).astype(np.int8)
    blocks = lane_blocks(codes, layout, depth)
    per_block = layout.steps_per_block(depth) * layout.products_per_step
    for channel, row in enumerate(codes):
        for lane in range(layout.lanes):
            seen = [abs(int(q)) for k, q in enumerate(row) if lane_of(layout, k) == lane]
            sums = [sum(seen[i : i + per_block]) for i in range(0, len(seen), per_block)]
            given = blocks[channel, :, lane].tolist()
            assert given[: len(sums)] == sums
            assert not any(given[len(sums) :])


@pytest.mark.parametrize(
    ("name", "products", "share"),
    [
        ("c8", 144, 18),
        ("c8", 145, 19),
        ("c4", 144, 72),
        ("c4", 25, 14),
        ("c4", 26, 14),
        ("channel", 9, 9),
        ("broadcast", 27, 27),
    ],
)
def test_share(name: str, products: int, share: int) -> None:
    assert LAYOUTS[name].share(products) == share


@pytest.mark.parametrize("shape", [(4,), (4, 0), (2, 3, 4)])
def test_codes_are_a_matrix_with_products(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="channels, products"):
        lane_blocks(np.zeros(shape, np.int8), LAYOUTS["c8"], 4)


def test_depth_is_positive() -> None:
    with pytest.raises(ValueError, match="depth is 0"):
        lane_blocks(np.zeros((1, 8), np.int8), LAYOUTS["c8"], 0)
