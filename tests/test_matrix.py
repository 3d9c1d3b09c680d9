# SPDX-License-Identifier: Apache-2.0
"""What the matrix of runtimes calls a hole; `make matrix` runs it."""

from __future__ import annotations

from typing import Any

import pytest

from oaq_keras.flatbuffer import kind, read_model
from tests.matrix.run import NETWORKS, cell

CODES = [{"codes": [1, 2], "plan": None}] * len(NETWORKS)


def answered(layers: str, tables: str = "table") -> list[dict[str, Any]]:
    found = []
    for make in NETWORKS:
        model = read_model(make())
        kinds = [kind(model, operator) for operator in model.subgraphs[0].operators]
        runs = [tables if name == "QUANTIZE" else layers for name in kinds]
        plan = [{"op": op, "runs": each} for op, each in enumerate(runs)]
        found.append({"codes": [1, 2], "plan": plan})
    return found


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (answered("int16"), "equal"),
        (answered("exact"), "small_network: not as planned: CONV_2D 0,"),
        (answered("int16", "stock"), "requantizing_network: not as planned: QUANTIZE 0,"),
        (CODES, "equal"),  # without a delegate
        (answered("stock"), "small_network: not as planned: CONV_2D 0,"),
        (
            [{"codes": [1, 2], "plan": []}] * len(NETWORKS),
            "small_network: not as planned: CONV_2D 0,",
        ),
        ([{"codes": [1, 3], "plan": None}] * len(NETWORKS), "small_network: differs"),
        (["no such library"] * len(NETWORKS), "small_network: no such library"),
    ],
)
def test_a_cell(found: list[Any], text: str) -> None:
    made = cell(CODES, found)
    assert made.startswith(text)
    assert (made == "equal") == (text == "equal")
