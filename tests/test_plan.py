# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from oaq_keras.errors import LibraryError
from oaq_keras.plan import Plan

INT16 = {
    "subgraph": 0,
    "op": 1,
    "kind": "CONV_2D",
    "name": "features/first;fused",
    "runs": "int16",
    "isa": "scalar",
    "layout": "c8",
    "depth": 16,
    "never_drained": False,
    "drains": 12,
    "tile_channels": 4,
    "tiles": 4,
    "tiles_int16": 3,
    "macs": 589824,
    "range": [0, 127],
    "range_source": "graph",
    "weights_bytes": 2304,
    "packed_bytes": 4036,
    "scratch_bytes": 18575,
    "workers": 1,
    "invocations": None,
    "nanoseconds": None,
    "reason": "1 tile at T = 2",
}
STOCK = {**dict.fromkeys(INT16), "op": 2, "kind": "ADD", "name": "sum", "runs": "stock"} | {
    "reason": "not ours"
}


def test_round_trip() -> None:
    plan = Plan.from_json(json.dumps([INT16, STOCK]))
    assert json.loads(plan.to_json()) == [INT16, STOCK]
    assert len(plan) == 2
    assert plan[0].range == (0, 127)
    assert [entry.runs for entry in plan] == ["int16", "stock"]


def test_table() -> None:
    text = str(Plan.from_json(json.dumps([INT16, STOCK, {**INT16, "never_drained": True}])))
    assert "features/first  CONV_2D" in text
    for cell in ("3 of 4", "0..127", "1 tile at T = 2", "never drained", "not ours"):
        assert cell in text
    assert "1,179,648 MACs: 100.0% int16, 0.0% exact, 0.0% stock" in text
    memory = "4,608 bytes of int8 weights take 8,072 packed and 18,575 of scratch, 5.78 times"
    assert f"memory: {memory} as many in all" in text
    assert str(Plan(())).startswith("op")


def test_table_of_a_profile() -> None:
    assert " us " not in str(Plan.from_json(json.dumps([INT16, STOCK])))
    profiled = {**INT16, "invocations": 4, "nanoseconds": 10_000}
    text = str(Plan.from_json(json.dumps([profiled, STOCK])))
    assert " us " in text
    assert "  2.5  1 tile" in text
    never_run = {**INT16, "invocations": 0, "nanoseconds": 0}
    assert " us " in str(Plan.from_json(json.dumps([never_run])))


@pytest.mark.parametrize(
    "text", ["", "[3]", "{}x", '[{"op": 1}]', json.dumps([{**INT16, "range": [1]}])]
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(LibraryError, match="cannot be read"):
        Plan.from_json(text)
