# SPDX-License-Identifier: Apache-2.0
"""Rows of figures: printed, and kept in docs/results.json and docs/results.md."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from helpers.kept_files import write_whole

DOCS = Path(__file__).parents[2] / "docs"
_BEGIN, _END = "<!-- tasks -->\n", "<!-- end tasks -->"
_NAMES = {"stock": "stock int8"}


def by_method(row: dict[str, Any]) -> str:
    """A row as a Markdown table with a line for each method."""
    titles = ["", row["metric"], "as float", "file", f"MACs proven at T={row['depth']}"]
    titles += ["never drained", "weight bits given up", "latency"]
    lines = [titles, ["---"] + ["--:"] * (len(titles) - 1)]
    for method in ("float", "stock", "ours", *row["variants"]):
        found, name = row[method], _NAMES.get(method, method)
        if "refused" in found:
            lines.append([name, "refused", *[""] * (len(titles) - 2)])
            continue
        cells = [name, f"{found['score']:.2f}", _percent(found, "agreement")]
        cells.append(f"{found['bytes'] / 1024:.1f} KiB" if method != "float" else "")
        cells += [_percent(found, "proven"), _percent(found, "never_drained")]
        cells.append(_given(found, "weight_bits_given_up", "{:.2f}"))
        lines.append([*cells, _given(found, "milliseconds", "{:.3f} ms")])
    table = _markdown(lines)
    if refused := row["stock"].get("refused"):
        return f"{table}\n\ntfmot refuses the network: {refused}"
    low, high = row["interval"]
    return f"{table}\n\nours - stock, 95 % by a bootstrap over examples: {low:+.2f} to {high:+.2f}"


def by_task(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as a Markdown table, a line each, and another of sizes and speed."""
    titles = [
        "task",
        "score",
        "examples",
        "seeds",
        "float",
        "stock int8",
        "ours",
        "ours - stock, 95 %",
    ]
    titles += ["as float: stock", "ours", "MACs proven", "never drained", "operators in float"]
    lines = [titles, ["---"] * 2 + ["--:"] * (len(titles) - 3) + ["---"]]
    sizes = ["task", "size: stock", "ours", "A53 model: all", "dense", "depthwise"]
    sizes += ["instructions, AVX2", "latency: stock", "ours", "stock / ours"]
    others = [sizes, ["---"] + ["--:"] * (len(sizes) - 1)]
    for row in rows:
        stock, ours = row["stock"], row["ours"]
        further = "".join(f"; {name} {_of_all(row, name)}" for name in ours.get("further", ()))
        cells = [row["task"], row["metric"] + further, str(row["images"])]
        cells.append(str(len(row.get("by_seed", (1,)))))
        cells += [_given(row[method], "score", "{:.2f}") for method in ("float", "stock", "ours")]
        if "refused" in stock:
            cells[5] = "refused"
        cells.append("{:+.2f} to {:+.2f}".format(*row["interval"]) if row["interval"] else "")
        cells += [_percent(stock, "agreement"), _percent(ours, "agreement")]
        cells += [_percent(ours, "proven"), _percent(ours, "never_drained")]
        lines.append([*cells, ", ".join(ours["float_operators"]) or "none"])
        others.append([row["task"], *_speed(row)])
    return f"{_markdown(lines)}\n\n{_markdown(others)}"


def with_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of those of several seeds: the first, with all seeds' mean scores and intervals.

    All were scored on the same examples, so the mean of their intervals is none too narrow.
    """
    first = rows[0]
    if len(rows) == 1 or any("refused" in row["stock"] for row in rows):
        return first
    scores = {m: [row[m]["score"] for row in rows] for m in ("float", "stock", "ours")}
    merged = {**first, **{m: {**first[m], "score": sum(s) / len(s)} for m, s in scores.items()}}
    ends = zip(*(row["interval"] for row in rows), strict=True)
    merged["interval"] = [sum(each) / len(each) for each in ends]
    merged["by_seed"] = {str(row["seed"]): {m: row[m]["score"] for m in scores} for row in rows}
    return merged


def _speed(row: dict[str, Any]) -> list[str]:
    stock, ours, speed = row["stock"], row["ours"], row.get("speed", {})
    cells = [f"{each['bytes'] / 1024:.0f} KiB" if "bytes" in each else "" for each in (stock, ours)]
    cells += [_given(speed, name, "{:.2f}x") for name in ("a53", "a53_dense", "a53_depthwise")]
    cells.append(_given(speed, "avx2_instructions", "{:.3f}x"))
    cells += [_given(each, "milliseconds", "{:.2f} ms") for each in (stock, ours)]
    both = "milliseconds" in stock and "milliseconds" in ours
    return [*cells, f"{stock['milliseconds'] / ours['milliseconds']:.2f}x" if both else ""]


def _of_all(row: dict[str, Any], name: str) -> str:
    """A further figure of float, stock and ours."""
    found = (row[method].get("further", {}) for method in ("float", "stock", "ours"))
    return ", ".join(_given(each, name, "{:.2f}") or "-" for each in found)


def _percent(found: dict[str, Any], name: str) -> str:
    return f"{100 * found[name]:.1f} %" if name in found else ""


def _given(found: dict[str, Any], name: str, text: str) -> str:
    return text.format(found[name]) if name in found else ""


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written(row: dict[str, Any], docs: Path = DOCS) -> None:
    """Puts a row into docs/results.json, in the place of that task's last, and all in the page.

    Figures of speed that the last one has are kept, if they are of the same file.

    Raises:
      ValueError: the page has no lines to put the table between.
    """
    file, page = docs / "results.json", docs / "results.md"
    rows = json.loads(file.read_text()) if file.is_file() else {}
    last = rows.get(row["task"], {})
    if "speed" in last and last["digest"] == row["digest"]:
        row = {"speed": last["speed"], **row}  # a row may bring its own
    rows[row["task"]] = row
    before, found, rest = page.read_text().partition(_BEGIN)
    _, closed, after = rest.partition(_END)
    if not found or not closed:
        raise ValueError(f"{page} has no lines {_BEGIN.strip()!r} and {_END!r}.")
    write_whole(file, json.dumps(rows, indent=1, sort_keys=True) + "\n")
    ordered = [rows[task] for task in sorted(rows)]
    write_whole(page, f"{before}{_BEGIN}\n{by_task(ordered)}\n\n{_END}{after}")
