# SPDX-License-Identifier: Apache-2.0
"""Functions of libraries and programs, and how figures by place are added up by function."""

from __future__ import annotations

import bisect
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

Place = tuple[str, int]
"""A file, and an offset in it."""
Function = tuple[int, int, str]
"""Where it begins in its file, where it ends, and its name."""


def functions(path: str) -> list[Function]:
    """A file's functions, in order; nm and readelf know other machines' files.

    Those of a file without symbols are found by what it has for unwinding, and named by address.
    """
    if not Path(path).is_file() or shutil.which("nm") is None or shutil.which("readelf") is None:
        return []
    # Type, offset, address, and so on: symbols' addresses count from where a segment is loaded.
    loads = [
        (int(words[1], 16), int(words[2], 16), int(words[4], 16))
        for words in map(str.split, _said("readelf", "-lW", path))
        if words[:1] == ["LOAD"]
    ]
    found = _named("nm", "-S", path) or [*_unwound(path), *_named("nm", "-S", "-D", path)]
    symbols = set()
    for start, end, name in found:
        for offset, address, size in loads:
            if address <= start < address + size:
                symbols.add((start - address + offset, end - address + offset, name))
    return sorted(symbols)


def by_function(
    places: Mapping[Place, int], entries: Iterable[Place] = ()
) -> Counter[tuple[str, str]]:
    """What was counted by place, by file and function.

    Assembly may have no name and nothing for unwinding: it is told apart by `entries`, where calls
    went, and has no name where these don't tell either.
    """
    tables: dict[str, list[Function]] = {}
    for path in {path for path, _ in [*places, *entries]}:
        known = functions(path)
        called = {at for file, at in entries if file == path and not _at(known, at)}
        tables[path] = sorted([*known, *_between(known, called)])
    counts: Counter[tuple[str, str]] = Counter()
    for (path, offset), count in places.items():
        counts[path, _at(tables[path], offset)] += count
    return counts


def _at(table: list[Function], offset: int) -> str:
    at = bisect.bisect_right(table, (offset, sys.maxsize, ""))
    _, end, name = table[at - 1] if at else (0, 0, "")
    return name if offset < end else ""


def _between(known: list[Function], called: Iterable[int]) -> list[Function]:
    """Functions that end where the next one begins."""
    starts = sorted({*called, *(start for start, _, _ in known), sys.maxsize})
    ends = dict(pairwise(starts))
    return [(at, ends[at], f"at {at:#x}") for at in called]


def _said(*command: str) -> list[str]:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.splitlines()


def _named(*command: str) -> list[Function]:
    lines = map(str.split, _said(*command))
    # Labels, marks of the assembler's among them, have no size.
    sized = [words for words in lines if len(words) == 4 and words[2] in "tTwW"]
    return [(int(at, 16), int(at, 16) + int(size, 16), name) for at, size, _, name in sized]


def _unwound(path: str) -> list[Function]:
    found = []
    for line in _said("readelf", "--debug-dump=frames", path):
        if part := re.search(r" FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", line):
            start, end = (int(number, 16) for number in part.groups())
            found.append((start, end, f"{start:#x}"))
    return found
