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
    """A file's functions, in order; readelf knows other machines' files.

    A static one has its source's name behind its own. Those of a file without symbols are found by
    what it has for unwinding, and named by address; those of other files are called through `plt`.
    """
    if not Path(path).is_file() or shutil.which("readelf") is None:
        return []
    # Type, offset, address, and so on: symbols' addresses count from where a segment is loaded.
    loads = [
        (int(words[1], 16), int(words[2], 16), int(words[4], 16))
        for words in map(str.split, _said("readelf", "-lW", path))
        if words[:1] == ["LOAD"]
    ]
    known = _named(path, ".symtab") or [*_unwound(path), *_named(path, ".dynsym")]
    found = set()
    for start, end, name in [*known, *_linkage(path)]:
        for offset, address, size in loads:
            if address <= start < address + size:
                found.add((start - address + offset, end - address + offset, name))
    return sorted(found)


def names(places: Iterable[Place], entries: Iterable[Place] = ()) -> dict[Place, str]:
    """The function of each place.

    Assembly may have no name and nothing for unwinding: it is told apart by `entries`, where calls
    went, and has no name where these don't tell either.
    """
    found = list(places)
    tables: dict[str, list[Function]] = {}
    for path in {path for path, _ in found}:
        known = functions(path)
        called = {at for file, at in entries if file == path and not _at(known, at)}
        tables[path] = sorted([*known, *_between(known, called)])
    return {place: _at(tables[place[0]], place[1]) for place in found}


def by_function(
    counts: Mapping[Place, int], entries: Iterable[Place] = ()
) -> Counter[tuple[str, str]]:
    """What was counted by place, by file and function."""
    found = names(counts, entries)
    total: Counter[tuple[str, str]] = Counter()
    for place, count in counts.items():
        total[place[0], found[place]] += count
    return total


def _at(table: list[Function], offset: int) -> str:
    at = bisect.bisect_left(table, (offset + 1,))
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


def _named(path: str, section: str) -> list[Function]:
    found: list[Function] = []
    table = source = ""
    for line in _said("readelf", "-sW", path):
        # Number, address, size, type, binding, visibility, section, name.
        words = line.split()
        if line.startswith("Symbol table"):
            table = words[2].strip("'")
        elif table != section or len(words) < 7:
            continue
        elif words[3] == "FILE":
            # Behind the last one, without a name, are those that other sources may call.
            source = words[7] if len(words) > 7 else ""
        elif words[3] in ("FUNC", "IFUNC") and words[6] != "UND":
            start, size = int(words[1], 16), int(words[2], 0)
            name = words[7].partition("@")[0]
            name += f" of {source}" if words[4] == "LOCAL" and source else ""
            # Marks of the assembler's have no size.
            found += [(start, start + size, name)] if size else []
    return found


def _linkage(path: str) -> list[Function]:
    lines = (
        re.match(r"\s*\[ *\d+\] \.plt\S* +\w+ +(\w+) \w+ (\w+)", line)
        for line in _said("readelf", "-SW", path)
    )
    parts = [(int(line[1], 16), int(line[2], 16)) for line in lines if line]
    return [(start, start + size, "plt") for start, size in parts]


def _unwound(path: str) -> list[Function]:
    found = []
    for line in _said("readelf", "--debug-dump=frames", path):
        if part := re.search(r" FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", line):
            start, end = (int(number, 16) for number in part.groups())
            found.append((start, end, f"{start:#x}"))
    return found
