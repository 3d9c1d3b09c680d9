# SPDX-License-Identifier: Apache-2.0
"""What steps, drains and ends of groups take in the assembly kernels, cut from their objects.

A kernel is followed through a call of many equal blocks, or groups (integer_path.py); what it
executes from one to the next is timed as a loop is (arm_loops.py). A drain is a block less its
steps, what ends a group is a group less its one block: either has what surrounds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import arm_loops
import integer_path
from arm_loops import Line

OBJECTS = Path("tflite_kernels/CMakeFiles/oaq.dir/core/aarch64")
SUMS, CODES, WHOLE = "sums", "codes", "codes of one block"
_TIMES = 8
_LONG = 96
"""Steps of a block whose drain is not seen."""
_DEPTHS = (16, 8)
_LEVELS = range(4)
_ARGUMENTS, _SEGMENTS, _BLOCKS = 0x10000, 0x20000, 0x30000
_ELSEWHERE = 0x100000


@dataclass(frozen=True)
class Call:
    """A call of four rows a group.

    Attributes:
      groups: of rows.
      blocks: of each sum.
      steps: of each block; those of 4x16 are products of a lane as well.
      level: of all drains.
      codes: whether it ends in the output stage.
    """

    groups: int
    blocks: int
    steps: int
    level: int = 0
    codes: bool = False


@dataclass(frozen=True)
class Kernel:
    """An assembly kernel.

    Attributes:
      name: in tables, with its core.
      core: of the model.
      path: its object.
      sums, codes, whole: its functions, the last one for codes of one block.
      macs: of a step.
      levels: of its drains.
      memory: of a call, what it reads to find its way.
    """

    name: str
    core: str
    path: str
    sums: str
    codes: str
    whole: str
    macs: int
    levels: int
    memory: Callable[[Call], dict[int, int]]


def _fields(*rows: tuple[int, tuple[int, ...]]) -> dict[int, int]:
    """Arguments of eight bytes each, from an offset on."""
    return {
        _ARGUMENTS + offset + 8 * at: value
        for offset, values in rows
        for at, value in enumerate(values)
    }


def _of_4x4(call: Call) -> dict[int, int]:
    """OaqMultiply4x4 (core/aarch64/multiply_i16_c8_4x4.h)."""
    steps = call.blocks * call.steps
    memory = _fields(
        (0, (_ELSEWHERE, 4 * 8 * steps, call.groups, _ELSEWHERE)),
        (32, (8 * steps, 16 * steps, 24 * steps, call.level | call.level << 4)),
        (64, (_ELSEWHERE, _ELSEWHERE, _SEGMENTS, 1, steps, _BLOCKS, call.blocks, 0)),
        (128, (_ELSEWHERE, _ELSEWHERE, 64)),
    )
    memory[_SEGMENTS] = 0
    return memory | {_BLOCKS + 4 * n: call.steps for n in range(call.blocks)}


def _of_4x16(call: Call) -> dict[int, int]:
    """OaqMultiply4x16 (core/aarch64/multiply_i16_broadcast_4x16.h)."""
    steps = call.blocks * call.steps
    memory = _fields(
        (0, (_ELSEWHERE, 4 * steps, call.groups, _ELSEWHERE)),
        (32, (steps, 2 * steps, 3 * steps, 64)),
        (64, (_ELSEWHERE, _ELSEWHERE, _SEGMENTS, 1, steps // 8, _BLOCKS)),
        (112, (_ELSEWHERE if call.codes else 0, _ELSEWHERE, 0, 0, 0)),
    )
    memory[_SEGMENTS] = 0
    # A bit of each step, where a block starts: not the first one's.
    starts = set(range(call.steps, steps, call.steps))
    for granule in range(steps // 8):
        bits = (1 << bit for bit in range(8) if 8 * granule + bit in starts)
        memory[_BLOCKS + granule] = sum(bits)
    # The kernel reads the first granule's bits of the next group ahead.
    return memory | {_BLOCKS + steps // 8: 0}


def _4x4(core: str, model: str) -> Kernel:
    path, name = f"multiply_i16_c8_4x4_{core}.S.o", "oaq_multiply_i16_c8_4x4"
    functions = (f"{name}_{core}", f"{name}_codes_{core}", f"{name}_whole_{core}")
    return Kernel(f"int16 4x4, {core}", model, path, *functions, 128, len(_LEVELS), _of_4x4)


def _4x16(core: str) -> Kernel:
    name = f"multiply_i16_broadcast_4x16_{core}"
    path, function = f"{name}.S.o", f"oaq_{name}"
    functions = (function, function, function)
    return Kernel(f"int16 4x16, {core}", core, path, *functions, 64, 1, _of_4x16)


A72 = _4x4("a72", "a57")
KERNELS = (_4x4("a53", "a53"), _4x4("a55", "a55"), A72, _4x16("a53"), _4x16("a55"))


def block(code: list[Line], kernel: Kernel, steps: int, level: int = 0) -> tuple[str, ...]:
    """What a block of many executes.

    Raises:
      PathError: the code can't be followed.
    """
    # Of 4x16, the first block has no drain before it.
    call = Call(1, _TIMES + 1, steps, level)
    return integer_path.period(_path(code, kernel, call), _TIMES)


def group(code: list[Line], kernel: Kernel, steps: int, codes: bool) -> tuple[str, ...]:
    """What a group of one block executes, its end included.

    Raises:
      PathError: the code can't be followed.
    """
    return integer_path.period(_path(code, kernel, Call(_TIMES, 1, steps, 0, codes)), _TIMES)


def _path(code: list[Line], kernel: Kernel, call: Call) -> list[Line]:
    return integer_path.walk(code, kernel.memory(call), {"x0": _ARGUMENTS})


def measure(build: Path) -> list[dict]:
    """Figures of the kernels that a build has."""
    rows = (_measured(build, kernel) for kernel in KERNELS)
    return [row for row in rows if row is not None]


def _measured(build: Path, kernel: Kernel) -> dict | None:
    path = build / OBJECTS / kernel.path
    if not path.is_file():
        return None
    functions = arm_loops.disassemble(path)
    sums = functions[kernel.sums]

    def taken(lines: tuple[str, ...]) -> float | None:
        return arm_loops.cycles_on(lines, kernel.core)

    def of_block(steps: int, level: int = 0) -> float | None:
        return taken(block(sums, kernel, steps, level))

    long, longer = of_block(_LONG), of_block(2 * _LONG)
    if long is None or longer is None:
        return None
    step = (longer - long) / _LONG
    depths = {depth: of_block(depth) for depth in _DEPTHS}
    drains = [of_block(16, level) for level in range(kernel.levels)]
    ends = {
        name: taken(group(functions[function], kernel, 16, name != SUMS))
        for name, function in ((SUMS, kernel.sums), (CODES, kernel.codes), (WHOLE, kernel.whole))
    }
    return {
        "name": kernel.name,
        "object": kernel.path,
        "model": kernel.core,
        "step": step,
        "mac_per_cycle": {
            "never drained": kernel.macs / step,
            **{f"T = {n}": kernel.macs * n / cycles for n, cycles in depths.items() if cycles},
        },
        "drain_by_level": [cycles - 16 * step for cycles in drains if cycles],
        "end_of_group": {name: cycles - 16 * step for name, cycles in ends.items() if cycles},
    }


def table(rows: list[dict]) -> str:
    """As Markdown."""
    lines = [
        "## Blocks of the assembly\n",
        "Cut from the objects along a call's way; MAC/cycle with what a block executes from one",
        "drain to the next; cycles of a drain, by its level, and of what ends a group of rows, its",
        "last drain included, are what they add to their steps.\n",
        "| kernel | model | never drained | T = 16 | T = 8 | step | drain, levels 0 to 3 "
        "| end in sums | in codes | in codes, of one block |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [row["name"], row["model"]]
        cells += [f"{rate:.2f}" for rate in row["mac_per_cycle"].values()]
        cells += [f"{row['step']:.2f}", ", ".join(f"{n:.1f}" for n in row["drain_by_level"])]
        cells += [f"{row['end_of_group'][name]:.0f}" for name in (SUMS, CODES, WHOLE)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
