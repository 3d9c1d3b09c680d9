# SPDX-License-Identifier: Apache-2.0
"""Cycles of all that an emulated program executes, on the in-order model of a core.

    plugin = build_plugin(folder)
    found = executed(["qemu-aarch64", "-L", libraries], program, CORES["a53"], plugin)

A program runs twice: first the codes of its instructions are collected, of which core_table.py
makes a table by the rules of in_order.py; then qemu/cycles.c issues on the model what is executed.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import core_table
import qemu_plugin
from in_order import Core
from qemu_plugin import EmulatorError
from symbols import Place

_TRIES = 5


@dataclass
class Executed:
    """What a run executed.

    Attributes:
      counts: how often, by place.
      cycles: taken, by place.
      codes: of the instructions.
      entries: where calls went.
    """

    counts: Counter[Place] = field(default_factory=Counter)
    cycles: Counter[Place] = field(default_factory=Counter)
    codes: dict[Place, int] = field(default_factory=dict)
    entries: set[Place] = field(default_factory=set)

    def __sub__(self, other: Executed) -> Executed:
        counts, cycles = Counter(self.counts), Counter(self.cycles)
        # What printing the times takes differs from run to run, and may become negative.
        counts.subtract(other.counts)
        cycles.subtract(other.cycles)
        return Executed(counts, cycles, {**other.codes, **self.codes}, self.entries | other.entries)

    def __add__(self, other: Executed) -> Executed:
        found = self - Executed()
        found.counts.update(other.counts)
        found.cycles.update(other.cycles)
        return Executed(
            found.counts, found.cycles, {**self.codes, **other.codes}, self.entries | other.entries
        )


def build_plugin(folder: Path) -> Path:
    """Compiles the plugin into a folder.

    Raises:
      EmulatorError: there is no compiler, or it fails.
    """
    return qemu_plugin.build(folder, "cycles.c", "places.c", "table.c")


def executed(emulator: Sequence[str], program: Sequence[str], core: Core, plugin: Path) -> Executed:
    """Runs a program on a core.

    Raises:
      EmulatorError: the program fails, or nothing was counted.
    """
    (found,) = pieces(emulator, program, core, plugin, None)
    return found


def pieces(
    emulator: Sequence[str], program: Sequence[str], core: Core, plugin: Path, mark: Place | None
) -> list[Executed]:
    """As `executed`, of each piece of the run: a new one begins where it comes to `mark`.

    Raises:
      EmulatorError: the program fails, or nothing was counted.
    """
    codes = _codes(qemu_plugin.run(emulator, str(plugin), program))
    marks = f",mark={mark[1]}@{mark[0]}" if mark else ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        for _ in range(_TRIES):
            path.write_text(core_table.table(codes, core))
            lines = qemu_plugin.run(emulator, f"{plugin},table={path}{marks}", program)
            # A program may go another way than the first time.
            missed = _codes(lines)
            if not missed:
                break
            codes |= missed
        else:
            raise EmulatorError(f"{program[0]} executes other instructions each time")
    found = _read(line for line in lines if not line.startswith("code "))
    if not any(piece.counts for piece in found):
        raise EmulatorError(f"{emulator[0]} counted nothing: is it linked dynamically?")
    return found


def _codes(lines: Sequence[str]) -> set[int]:
    return {int(line.split()[1], 16) for line in lines if line.startswith("code ")}


def _read(lines: Iterable[str]) -> list[Executed]:
    files: dict[str, str] = {}
    found = Executed()
    all_found = [found]
    for line in lines:
        if line == "mark":
            found = Executed()
            all_found.append(found)
            continue
        what, number, rest = line.split(" ", 2)
        if what == "file":
            files[number] = rest
            continue
        offset, count, cycles, code, entered = rest.split()
        place = (files[number], int(offset))
        found.counts[place] += int(count)
        found.cycles[place] += int(cycles)
        found.codes[place] = int(code, 16)
        if entered == "e":
            found.entries.add(place)
    return all_found
