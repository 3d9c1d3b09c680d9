# SPDX-License-Identifier: Apache-2.0
"""Cycles of all that an emulated program executes, on the in-order model of a core.

    with Emulator.create("qemu-aarch64 -cpu cortex-a53 -L /usr/aarch64-linux-gnu") as emulator:
        found = emulator.cycles(program, CORES["a53"])

A program runs twice: first the codes of its instructions are collected, of which core_table.py makes
a table by the rules of in_order.py; then qemu/cycles.c issues on the model what is executed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import core_table
from in_order import Core
from symbols import Place

SOURCES = Path(__file__).resolve().parent / "qemu"
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden")
_TRIES = 5


class EmulatorError(Exception):
    """A run that failed; says what to do."""


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


def build_plugin(folder: Path, *sources: str) -> Path:
    """Compiles a plugin of qemu/, named like its first source.

    Raises:
      EmulatorError: there is no compiler, or it fails.
    """
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise EmulatorError("the emulator's plugin needs a C compiler")
    target = (folder / sources[0]).with_suffix(".so")
    paths = [str(SOURCES / source) for source in sources]
    _run([compiler, *FLAGS, *paths, "-o", str(target)])
    return target


def run_plugin(emulator: Sequence[str], plugin: str, program: Sequence[str]) -> list[str]:
    """What a plugin printed.

    Raises:
      EmulatorError: the program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        options = ["-plugin", plugin, "-d", "plugin", "-D", str(log)]
        _run([*emulator, *options, *program])
        return log.read_text(errors="replace").splitlines() if log.exists() else []


def executed(emulator: Sequence[str], program: Sequence[str], core: Core, plugin: Path) -> Executed:
    """Runs a program on a core.

    Raises:
      EmulatorError: the program fails, or nothing was counted.
    """
    codes = _codes(run_plugin(emulator, str(plugin), program))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        for _ in range(_TRIES):
            path.write_text(core_table.table(codes, core))
            lines = run_plugin(emulator, f"{plugin},table={path}", program)
            # A program may go another way than the first time.
            missed = _codes(lines)
            if not missed:
                break
            codes |= missed
        else:
            raise EmulatorError(f"{program[0]} executes other instructions each time")
    found = _read(line for line in lines if not line.startswith("code "))
    if not found.counts:
        raise EmulatorError(f"{emulator[0]} counted nothing: is it linked dynamically?")
    return found


def _codes(lines: Sequence[str]) -> set[int]:
    return {int(line.split()[1], 16) for line in lines if line.startswith("code ")}


def _read(lines: Iterable[str]) -> Executed:
    files: dict[str, str] = {}
    found = Executed()
    for line in lines:
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
    return found


def _run(command: Sequence[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode != 0:
        said = "; ".join(line for line in run.stderr.splitlines() if line)
        raise EmulatorError(said or f"{command[0]}: exit {run.returncode}")
