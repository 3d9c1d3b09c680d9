# SPDX-License-Identifier: Apache-2.0
"""What the matrix of runtimes calls a hole; `make matrix` runs it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.matrix.run import NETWORKS, cell

CODES = [{"codes": [1, 2], "plan": None}] * len(NETWORKS)


def answered(runs: str) -> list[dict[str, Any]]:
    return [
        {"codes": [1, 2], "plan": [{"op": op, "runs": runs} for op in range(8)]} for _ in NETWORKS
    ]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (answered("int16"), "equal"),
        (answered("exact"), "small_network: not run in int16: CONV_2D 0,"),
        (CODES, "equal"),  # without a delegate
        (answered("stock"), "small_network: not run in int16: CONV_2D 0,"),
        ([{"codes": [1, 2], "plan": []}] * 3, "small_network: not run in int16: CONV_2D 0,"),
        ([{"codes": [1, 3], "plan": None}] * 3, "small_network: differs"),
        (["no such library"] * 3, "small_network: no such library"),
    ],
)
def test_a_cell(found: list[Any], text: str) -> None:
    made = cell(CODES, found)
    assert made.startswith(text)
    assert (made == "equal") == (text == "equal")
