# SPDX-License-Identifier: Apache-2.0
"""Rows of figures, in docs/results.json and on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.results import by_method, by_task, with_seeds, written

PAGE = "# Results\n\n<!-- tasks -->\nold\n<!-- end tasks -->\n\nMore.\n"


def _row(task: str, ours: float) -> dict[str, Any]:
    figures = {"agreement": 0.75, "bytes": 2048, "float_operators": [], "milliseconds": 2.0}
    shares = {"proven": 1.0, "never_drained": 0.125}
    return {
        "task": task,
        "metric": "mIoU",
        "depth": 16,
        "images": 7,
        "variants": [],
        "digest": f"{task} {ours}",
        "float": {"score": 40.0, **figures},
        "stock": {"score": 39.0, **figures, **shares, "further": {"COCO": 7.0}},
        "ours": {"score": ours, **figures, **shares, "milliseconds": 1.0, "further": {"COCO": 8.5}},
        "interval": (-0.5, 1.25),
    }


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_is_a_line_of_two_tables() -> None:
    scores, speed = (
        _cells(line) for line in by_task([_row("b", 39.5)]).splitlines() if line.startswith("| b ")
    )
    assert scores[:4] == ["b", "mIoU; COCO -, 7.00, 8.50", "7", "1"]
    assert scores[4:8] == ["40.00", "39.00", "39.50", "-0.50 to +1.25"]
    assert scores[8:] == ["75.0 %", "75.0 %", "100.0 %", "12.5 %", "none"]
    assert speed == ["b", "2 KiB", "2 KiB", "", "", "", "", "2.00 ms", "1.00 ms", "2.00x"]


def test_scores_of_several_seeds_are_averaged() -> None:
    rows = [{**_row("b", 39.0 + seed), "seed": seed} for seed in (1, 2, 3)]
    rows[1]["interval"] = (-1.1, 0.65)
    (line,) = (line for line in by_task([with_seeds(rows)]).splitlines() if "| 7 |" in line)
    assert _cells(line)[3:8] == ["3", "40.00", "39.00", "41.00", "-0.70 to +1.05"]
    assert with_seeds(rows)["by_seed"]["3"] == {"float": 40.0, "stock": 39.0, "ours": 42.0}
    assert with_seeds(rows[:1]) == rows[0]


def test_what_tfmot_refuses_is_said() -> None:
    row = {**_row("b", 39.5), "stock": {"refused": "no such layer"}, "interval": None}
    assert "refused" in by_task([row])
    lines = by_method(row)
    assert "| stock int8 | refused |" in lines
    assert "tfmot refuses the network: no such layer" in lines


def test_speed_is_kept_as_long_as_the_file_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "results.md").write_text(PAGE)
    for row in ({**_row("a", 1.0), "speed": {"a53": 1.75}}, _row("a", 1.0)):
        written(row, tmp_path)
        assert "1.75x" in (tmp_path / "results.md").read_text()
    written(_row("a", 2.0), tmp_path)
    assert "1.75x" not in (tmp_path / "results.md").read_text()


def test_rows_are_kept_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "results.md").write_text(PAGE)
    for row in (_row("a", 1.0), _row("b", 2.0), _row("a", 3.0)):
        written(row, tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert {task: row["ours"]["score"] for task, row in kept.items()} == {"a": 3.0, "b": 2.0}
    page = (tmp_path / "results.md").read_text()
    assert page.startswith("# Results\n\n<!-- tasks -->\n")
    assert page.endswith("<!-- end tasks -->\n\nMore.\n")
    assert page.count("| mIoU; COCO") == 2
    assert "old" not in page


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "results.md").write_text("# Results\n")
    with pytest.raises(ValueError, match=r"results\.md has no lines '<!-- tasks -->'"):
        written(_row("a", 1.0), tmp_path)
    assert not (tmp_path / "results.json").exists()
