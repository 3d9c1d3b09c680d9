# SPDX-License-Identifier: Apache-2.0
"""Rows of figures: printed, and kept in docs/results.json and docs/results.md."""

import json
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).parents[2] / "docs"
_BEGIN, _END = "<!-- tasks -->\n", "<!-- end tasks -->"


def printed(*rows: dict[str, Any]) -> str:
    """Rows as a Markdown table."""
    titles = ["task", "score", "images", "float", "stock int8", "ours", "ours - stock, 95 %"]
    titles += ["as float: stock", "ours", "MACs proven", "never drained", "size: stock", "ours"]
    titles += ["operators in float"]
    lines = [" | ".join(titles), " | ".join(["---"] * 2 + ["--:"] * (len(titles) - 2))]
    for row in rows:
        stock, ours = row["stock"], row["ours"]
        cells = [row["task"], row["metric"], str(row["images"])]
        cells += [f"{row[method]['score']:.2f}" for method in ("float", "stock", "ours")]
        low, high = row["interval"]
        cells.append(f"{low:+.2f} to {high:+.2f}")
        cells += [f"{100 * each['agreement']:.1f} %" for each in (stock, ours)]
        cells += [f"{100 * ours[share]:.1f} %" for share in ("proven", "never_drained")]
        cells += [f"{each['bytes'] / 1024:.0f} KiB" for each in (stock, ours)]
        cells.append(", ".join(ours["float_operators"]) or "none")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def written(row: dict[str, Any], docs: Path = _DOCS) -> None:
    """Puts a row into docs/results.json, in the place of that task's last, and all in the page.

    Raises:
      ValueError: the page has no lines to put the table between.
    """
    file, page = docs / "results.json", docs / "results.md"
    rows = json.loads(file.read_text()) if file.is_file() else {}
    rows[row["task"]] = row
    before, found, rest = page.read_text().partition(_BEGIN)
    _, closed, after = rest.partition(_END)
    if not found or not closed:
        raise ValueError(f"{page} has no lines {_BEGIN.strip()!r} and {_END!r}.")
    file.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    page.write_text(f"{before}{_BEGIN}\n{printed(*rows.values())}\n\n{_END}{after}")
