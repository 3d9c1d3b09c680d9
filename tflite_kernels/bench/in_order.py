# SPDX-License-Identifier: Apache-2.0
"""How long a loop takes on the in-order cores Cortex-A53 and A55, by their issue rules.

    cycles(["ldr d0, [x0]", "smlal v1.8h, v0.8b, v2.8b", ...], CORES["a53"])

The rules are what gemmlowp's authors measured (standalone/neon-gemm-kernel-benchmark.cc) and what
the cycle comments in XNNPACK's assembly say. Two instructions issue in a cycle, in order:
- A vector load takes a cycle for each 64 bits. One of 128 bits pairs with nothing on A53. One of 64
  bits pairs with an INS, and on A55 with a vector operation too.
- A load to a general register pairs with a vector operation; so LDR X and INS stand for LDR D.
- Vector operations of 128 bits use both halves of the unit: two never pair. SADALP and SADDLP take
  two cycles.
- A product's sum is forwarded to the next multiply-accumulate: that waits a cycle, not four.
Memory answers from the first-level cache, and branches are predicted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

WARM_UP, MEASURED = 24, 48
"""Iterations of a loop before its cycles are counted, and while they are."""


class Unit(Enum):
    """What an instruction occupies."""

    LOAD = "load or store of general registers"
    VECTOR_LOAD = "load or store of vector registers"
    VECTOR = "vector operation of 128 bits"
    HALF_VECTOR = "vector operation of 64 bits, or a move into a vector register"
    INTEGER = "integer operation"
    BRANCH = "branch"


_MEMORY = frozenset({Unit.LOAD, Unit.VECTOR_LOAD})
_ARITHMETIC = frozenset({Unit.VECTOR, Unit.HALF_VECTOR})


@dataclass(frozen=True)
class Instruction:
    """What matters of one.

    Attributes:
      unit: what it occupies.
      cycles: for how long.
      latency: cycles until its result may be read.
      writes, reads: registers; v0 stands for q0, d0 and s0, x0 for w0.
      bases: registers that addressing changes, ready a cycle later.
      accumulates: registers that it adds to.
      forwards: its result reaches one that accumulates three cycles early.
    """

    unit: Unit
    cycles: int
    latency: int
    writes: frozenset[str]
    reads: frozenset[str]
    bases: frozenset[str] = frozenset()
    accumulates: frozenset[str] = frozenset()
    forwards: bool = False


@dataclass(frozen=True)
class Core:
    """What differs between the two.

    Attributes:
      vector_loads_pair: with vector operations.
      long_ones_pair: an instruction of several cycles, with an integer one, a branch or a load.
    """

    name: str
    vector_loads_pair: bool
    long_ones_pair: bool

    def pair(self, first: Instruction, second: Instruction) -> bool:
        """Whether two instructions without a dependency issue in one cycle."""
        units = {first.unit, second.unit}
        if max(first.cycles, second.cycles) > 1:
            other = {Unit.LOAD, Unit.INTEGER, Unit.BRANCH}
            if not (self.long_ones_pair and units & other) or units <= _MEMORY:
                return False
        if units <= _MEMORY or units in ({Unit.BRANCH}, {Unit.VECTOR}):
            return False
        if units == _ARITHMETIC:
            return False
        return self.vector_loads_pair or units != {Unit.VECTOR_LOAD, Unit.VECTOR}


CORES = {
    "a53": Core("Cortex-A53", vector_loads_pair=False, long_ones_pair=False),
    "a55": Core("Cortex-A55", vector_loads_pair=True, long_ones_pair=True),
}

_REGISTER = re.compile(r"\b([vqdshbxw])(\d+)\b")
_LOADS = re.compile(r"(ld|st)(r|ur|p|np|[1-4]r?)[bhsw]*$|prfm$|prfum$")
_TO_VECTOR = ("ins", "fmov", "dup", "umov", "smov")
_PRODUCTS = re.compile(r"[su](q?d?)(mlal|mlsl|mull)2?$|ml[as]$|mul$|[su]+dot$|[su]+mmla$")
_PAIRWISE = re.compile(r"[su](adalp|addlp)$")
# What reads the register that it writes.
_READS_TARGET = re.compile(r".*(mlal|mlsl|dot|mmla|adalp)2?$|ml[as]$|ins$|s[rl]i$|bsl$|movk$|tbx$")


def parse(line: str) -> Instruction | None:
    """An instruction of AArch64 as assemblers and objdump write it; None of a line without one."""
    text = re.sub(r"//.*|<.*>|;.*", "", line).strip().lower()
    if not text or text.endswith(":") or text.startswith("."):
        return None
    name, _, operands = text.partition(" ") if " " in text else text.partition("\t")
    operands = operands.strip()
    if _LOADS.match(name):
        return _memory(name, operands)
    if name in ("b", "br", "bl", "blr", "ret") or re.match(r"b\.|t?cbn?z|tbn?z|cbn?z", name):
        return Instruction(Unit.BRANCH, 1, 1, frozenset(), frozenset(_registers(operands)))
    found = _registers(operands)
    target = frozenset(found[:1])
    reads = frozenset(found if _READS_TARGET.match(name) else found[1:])
    if not any(register.startswith("v") for register in found):
        compares = name in ("cmp", "cmn", "tst", "ccmp", "nop")
        reads = frozenset(found) if compares else reads
        return Instruction(Unit.INTEGER, 1, 1, frozenset() if compares else target, reads)
    if name in _TO_VECTOR or (name == "mov" and "[" in operands):
        # MOV into one lane is an INS, which keeps the others.
        reads = frozenset(found) if "[" in operands.split(",")[0] else reads
        return Instruction(Unit.HALF_VECTOR, 1, 3, target, reads)
    if _PRODUCTS.match(name):
        accumulates = target if _READS_TARGET.match(name) else frozenset()
        return Instruction(Unit.VECTOR, 1, 4, target, reads, accumulates=accumulates, forwards=True)
    wide = bool(re.search(r"\.(16b|8h|4s|2d)", operands))
    if _PAIRWISE.match(name):
        accumulates = target if name.endswith("adalp") else frozenset()
        cycles = 2 if wide else 1
        return Instruction(
            Unit.VECTOR, cycles, 4, target, reads, accumulates=accumulates, forwards=True
        )
    return Instruction(Unit.VECTOR if wide else Unit.HALF_VECTOR, 1, 3, target, reads)


def cycles(
    loop: Iterable[str], core: Core, parse: Callable[[str], Instruction | None] = parse
) -> float:
    """Cycles of one iteration, after some have gone by."""
    code = [instruction for instruction in map(parse, loop) if instruction is not None]
    if not code:
        raise ValueError("a loop without instructions takes no time")
    ready: dict[str, int] = {}
    early: dict[str, int] = {}
    free = marked = issued = 0
    first: Instruction | None = None
    for iteration in range(WARM_UP + MEASURED):
        if iteration == WARM_UP:
            marked = free
        for instruction in code:
            operands = 0
            for register in instruction.reads:
                known = early if register in instruction.accumulates else ready
                operands = max(operands, known.get(register, 0))
            if first is not None and operands <= issued and core.pair(first, instruction):
                free = max(free, issued + instruction.cycles)
                first = None
            else:
                issued = max(free, operands)
                free, first = issued + instruction.cycles, instruction
            for register in instruction.writes:
                ready[register] = issued + max(instruction.latency, instruction.cycles)
                early[register] = ready[register] - (3 if instruction.forwards else 0)
            for register in instruction.bases:
                ready[register] = early[register] = issued + 1
    return (free - marked) / MEASURED


def _registers(operands: str) -> list[str]:
    return [("x" if kind in "xw" else "v") + n for kind, n in _REGISTER.findall(operands)]


def _memory(name: str, operands: str) -> Instruction:
    values, _, address = operands.partition("[") if "{" not in operands else _braced(operands)
    moved = _registers(values)
    addressed = frozenset(_registers(address))
    changes = "!" in address or bool(re.search(r"\]\s*,", address))
    bases = frozenset(_registers(address)[:1]) if changes else frozenset()
    if name.startswith("prf"):
        return Instruction(Unit.LOAD, 1, 1, frozenset(), addressed, bases)
    vector = any(register.startswith("v") for register in moved)
    if vector:
        count = max(1, len(moved) * _bytes(values) // 8)
    else:
        count = len(moved) if name.startswith("ld") else 1
    unit = Unit.VECTOR_LOAD if vector else Unit.LOAD
    if name.startswith("st"):
        return Instruction(unit, count, 1, frozenset(), addressed | frozenset(moved), bases)
    # Loads of one lane keep the others.
    kept = frozenset(moved) if re.search(r"\}\s*\[", operands) else frozenset()
    return Instruction(unit, count, 4 if vector else 3, frozenset(moved), addressed | kept, bases)


def _braced(operands: str) -> tuple[str, str, str]:
    values, _, rest = operands.partition("}")
    return values, "[", rest.partition("[")[2] if "]," not in rest else rest.rpartition("[")[2]


def _bytes(values: str) -> int:
    if re.search(r"\bq\d|\.(16b|8h|4s|2d)", values):
        return 16
    return 8 if re.search(r"\bd\d|\.(8b|4h|2s|1d)", values) else 4
