# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from oaq_keras.tables import format_table, short_name


def test_numbers_are_flush_right_and_words_flush_left() -> None:
    table = format_table(("name", "MACs", "kind"), [("a", "5", "x"), ("longer", "12345", "yy")])
    assert table.splitlines() == [
        "name     MACs  kind",
        "------  -----  ----",
        "a           5  x",
        "longer  12345  yy",
    ]


@pytest.mark.parametrize(
    ("name", "short"),
    [("a/b;c/d", "a/b"), ("x" * 41, "..." + "x" * 37), ("", "")],
)
def test_short_name(name: str, short: str) -> None:
    assert short_name(name) == short
