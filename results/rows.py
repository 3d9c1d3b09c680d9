# SPDX-License-Identifier: Apache-2.0
"""Figures that took long to get: each is kept as soon as it is there, and found again."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("build/results/rows")


def row_path(settings: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Where a row with these settings is kept."""
    text = json.dumps(settings, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return folder / f"{settings['name']}-{digest}.json"


def find_row(settings: Mapping[str, Any], folder: Path = FOLDER) -> dict[str, Any] | None:
    """A row that was kept; None where there is none, or settings have changed since."""
    path = row_path(settings, folder)
    if not path.is_file():
        return None
    row: dict[str, Any] = json.loads(path.read_text())
    return row


def kept_row(
    settings: Mapping[str, Any],
    make: Callable[[], Mapping[str, Any]],
    folder: Path = FOLDER,
) -> dict[str, Any]:
    """The row with these settings: found, or made and kept.

    Args:
      settings: all that decides it, with its "name"; values that JSON has.
      make: gives the row's figures; run where it is not kept.
      folder: where rows are kept, each in a file of its own.

    Returns:
      The settings and the figures.
    """
    found = find_row(settings, folder)
    if found is not None:
        return found
    row = {**settings, **make()}
    folder.mkdir(parents=True, exist_ok=True)
    # Whole or not at all, also where the run is cut short.
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, suffix=".part") as file:
        json.dump(row, file, indent=1)
    Path(file.name).replace(row_path(settings, folder))
    return row


def write_table(page: str, name: str, text: str) -> None:
    """Puts a text between the lines `<!-- name -->` and `<!-- end name -->` of a page.

    Raises:
      ValueError: the page lacks these lines.
    """
    path = Path(page)
    begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(
            f"{page} has no lines {begin.strip()!r} and {end!r} to put the table between."
        )
    path.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")
