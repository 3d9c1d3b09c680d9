# SPDX-License-Identifier: Apache-2.0
"""The issue rules of in_order.py as a table by instruction code, for qemu/in_order.h.

The rules stay in Python: C steps through what an instruction occupies, reads and writes.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import in_order
from in_order import Core, Instruction, Unit

_NOTHING = Instruction(Unit.INTEGER, 1, 1, frozenset(), frozenset())
"""Stands for what the disassembler does not know."""
# Whether two instructions pair depends on what they occupy, and whether for more than a cycle.
_KINDS = [
    Instruction(unit, cycles, 1, frozenset(), frozenset()) for unit in Unit for cycles in (1, 2)
]


def disassemble(codes: Sequence[int], objdump: str = "aarch64-linux-gnu-objdump") -> list[str]:
    """The text of each instruction.

    Raises:
      OSError: objdump can't be run.
      CalledProcessError: it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes"
        path.write_bytes(struct.pack(f"<{len(codes)}I", *codes))
        command = [objdump, "-D", "-z", "-b", "binary", "-m", "aarch64", "--no-show-raw-insn"]
        run = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    lines = [re.match(r"\s+[0-9a-f]+:\s+(.+)$", line) for line in run.stdout.splitlines()]
    return [line[1].replace("\t", " ") for line in lines if line]


def table(codes: Iterable[int], core: Core) -> str:
    """What qemu/table.c reads, for all of the codes."""
    known = sorted(set(codes))
    texts = disassemble(known)
    lines = [f"kinds {len(_KINDS)}", *(f"{_pairs(kind, core):x}" for kind in _KINDS)]
    lines.append(f"rows {len(known)}")
    for code, text in zip(known, texts, strict=True):
        lines.append(f"{code:08x} {row(in_order.parse(text) or _NOTHING)}")
    return "\n".join([*lines, ""])


def row(instruction: Instruction) -> str:
    """An instruction's, behind its code."""
    kind = 2 * list(Unit).index(instruction.unit) + (instruction.cycles > 1)
    numbers = (kind, instruction.cycles, instruction.latency, int(instruction.forwards))
    sets = (instruction.reads, instruction.writes, instruction.bases, instruction.accumulates)
    return " ".join([*map(str, numbers), *(f"{_bits(registers):x}" for registers in sets)])


def _pairs(first: Instruction, core: Core) -> int:
    return sum(1 << i for i, second in enumerate(_KINDS) if core.pair(first, second))


def _bits(registers: Iterable[str]) -> int:
    return sum(1 << int(name[1:]) + (32 if name[0] == "v" else 0) for name in registers)
