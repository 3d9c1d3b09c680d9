# SPDX-License-Identifier: Apache-2.0
"""Rows of figures, in docs/results.json and on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.results import printed, written

PAGE = "# Results\n\n<!-- tasks -->\nold\n<!-- end tasks -->\n\nMore.\n"


def _row(task: str, ours: float) -> dict[str, Any]:
    figures = {"agreement": 0.75, "bytes": 2048, "float_operators": []}
    shares = {"proven": 1.0, "never_drained": 0.125}
    return {
        "task": task,
        "metric": "mIoU",
        "images": 7,
        "float": {"score": 40.0, **figures},
        "stock": {"score": 39.0, **figures, **shares},
        "ours": {"score": ours, **figures, **shares},
        "interval": (-0.5, 1.25),
    }


def test_a_row_is_a_line_of_markdown() -> None:
    *_, line = printed(_row("b", 39.5)).splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:7] == ["b", "mIoU", "7", "40.00", "39.00", "39.50", "-0.50 to +1.25"]
    assert cells[7:] == ["75.0 %", "75.0 %", "100.0 %", "12.5 %", "2 KiB", "2 KiB", "none"]


def test_rows_are_kept_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "results.md").write_text(PAGE)
    for row in (_row("a", 1.0), _row("b", 2.0), _row("a", 3.0)):
        written(row, tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert {task: row["ours"]["score"] for task, row in kept.items()} == {"a": 3.0, "b": 2.0}
    page = (tmp_path / "results.md").read_text()
    assert page.startswith("# Results\n\n<!-- tasks -->\n")
    assert page.endswith("<!-- end tasks -->\n\nMore.\n")
    assert page.count("| mIoU |") == 2
    assert "old" not in page


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "results.md").write_text("# Results\n")
    with pytest.raises(ValueError, match=r"results\.md has no lines '<!-- tasks -->'"):
        written(_row("a", 1.0), tmp_path)
    assert not (tmp_path / "results.json").exists()
