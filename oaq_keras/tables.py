# SPDX-License-Identifier: Apache-2.0
"""Plain text tables for terminals and logs."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell: the first is left-aligned, numbers are right-aligned."""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [
        i > 0 and all(_numeric(cell) for cell in column[1:]) for i, column in enumerate(columns)
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (headings, ["-" * width for width in widths], *rows)
    ]
    return "\n".join(lines)


def short_name(name: str, width: int = 40) -> str:
    """A tensor's name that fits a table; converters join the names of all they fused with `;`."""
    first = name.split(";", maxsplit=1)[0]
    return first if len(first) <= width else "..." + first[-(width - 3) :]


def _numeric(cell: str) -> bool:
    return cell in ("", "-") or cell.lstrip("+-[")[:1].isdigit()
