# SPDX-License-Identifier: Apache-2.0
"""Writes what runs found into docs/trust.md, between two markers.

python -m tests.netgen.figures build/soak.json [build/mutations.json] [another soak.json ...]
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN = "<!-- netgen: written by tests/netgen/figures.py -->\n"
END = "<!-- netgen: end -->\n"
_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "trust.md"


def render(runs: Sequence[dict[str, Any]], mutations: Sequence[dict[str, Any]] = ()) -> str:
    """Tables of runs, a column each, and of the faults that were put in."""
    lines = _table(["", *map(_heading, runs)], _rows(runs))
    lines += ["", _operators(runs[0]), ""]
    for tried in mutations:
        rows = [
            [
                entry["what"],
                str(entry["networks"] or "crash" if entry["difference"] else "not found"),
            ]
            for entry in tried["mutations"]
        ]
        lines += _table(["fault put into the kernels", "networks until it showed"], rows)
        lines += ["", f"At most {tried['networks']:,} networks each, from seed 0.", ""]
    return "\n".join(lines)


def insert(text: str, figures: str) -> str:
    """The document with what lies between the markers replaced."""
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"expected {BEGIN!r} and {END!r} once in {_DOCUMENT.name}")
    return pattern.sub(lambda _: BEGIN + "\n" + figures + "\n" + END, text)


def _heading(run: dict[str, Any]) -> str:
    counting = "lane drains watched" in run["counts"]
    return (
        f"{'library that counts overflows' if counting else 'library as shipped'}, {run['library']}"
    )


def _rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    def row(name: str, value: Any) -> list[str]:
        return [name, *(str(value(run, Counter(run["counts"]))) for run in runs)]

    def count(name: str, key: str) -> list[str]:
        return row(name, lambda _, counts: f"{counts[key]:,}")

    def share(name: str, key: str, of: str) -> list[str]:
        return row(name, lambda _, counts: f"{counts[key] / max(1, counts[of]):.1%}")

    def lanes(key: str) -> Any:
        return lambda _, counts: (
            f"{counts[key]:,}" if counts["lane drains watched"] else "not watched"
        )

    return [
        row("networks", lambda run, _: f"{run['networks']:,}"),
        row("first seed", lambda run, _: run["first_seed"]),
        row("operators", lambda _, counts: f"{_sum(counts):,}"),
        count("runs of a network by our kernels", "invocations"),
        count("tensors compared", "tensors"),
        count("convolutions and fully connected layers", "layers"),
        share(
            "of them with a range narrower than [-128, 127]", "layers of a closed range", "layers"
        ),
        share("never drained under plan=int16", "layers never drained", "layers int16"),
        share("T of 16 and more, never drained included", "layers T>=16", "layers int16"),
        count("int16 tiles planned", "tiles int16"),
        count("int16 tiles run, once a run of a network", "int16 tiles run"),
        count("runs of a layer split over two threads", "layers run on threads"),
        row("lane drains watched", lanes("lane drains watched")),
        row("lanes that left int16", lanes("lane overflows")),
        count(
            "networks whose outputs LiteRT's memory plan changes, not compared with shared memory",
            "networks that LiteRT's memory plan changes",
        ),
        row("**differences**", lambda run, _: f"**{len(run['failures'])}**"),
        row("minutes", lambda run, _: f"{run['seconds'] / 60:.0f}"),
    ]


def _operators(run: dict[str, Any]) -> str:
    kinds = Counter(
        {
            name.removeprefix("operators "): number
            for name, number in run["counts"].items()
            if name.startswith("operators ")
        }
    )
    return "Operators by kind: " + ", ".join(f"{k} {n:,}" for k, n in kinds.most_common()) + "."


def _sum(counts: Counter[str]) -> int:
    return sum(number for name, number in counts.items() if name.startswith("operators "))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("--:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _main() -> int:
    records = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    runs = [record for record in records if "counts" in record]
    if not runs:
        raise SystemExit(__doc__)
    mutations = [record for record in records if "mutations" in record]
    _DOCUMENT.write_text(insert(_DOCUMENT.read_text(), render(runs, mutations)))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
