# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM's instructions for in_order.py: Cortex-A53 under a 32-bit system, as many boards run.

It issues them by the same rules. Registers are those of 64 bits: q1 is d2 and d3.
"""

from __future__ import annotations

import re

from in_order import Instruction, Unit

_VECTOR = re.compile(r"\b([qd])(\d+)\b")
_SPAN = re.compile(r"d(\d+)-d(\d+)")
_GENERAL = re.compile(r"\b(r\d+|ip|sp|lr|fp|sl|sb)\b")
_BRANCH = re.compile(r"(b|bl|bx|cbn?z|b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))$")
_COMPARES = ("cmp", "cmn", "tst", "teq", "nop", "it", "itt", "ite")


def parse(line: str) -> Instruction | None:
    """An instruction as objdump writes it; None of a line without one."""
    text = re.sub(r"@.*|<.*>|//.*", "", line).strip().lower()
    if not text or text.endswith(":") or text.startswith("."):
        return None
    name, _, operands = text.partition(" ")
    name = re.sub(r"\.[nw]$", "", name)
    if re.match(r"v(ld|st)", name):
        return _vector_memory(name, operands)
    if re.match(r"(ld|st)(r|m)", name):
        values, _, address = operands.partition("[")
        moved, addressed = frozenset(_GENERAL.findall(values)), frozenset(_GENERAL.findall(address))
        if name.startswith("st"):
            return Instruction(Unit.LOAD, 1, 1, frozenset(), moved | addressed)
        return Instruction(Unit.LOAD, max(1, len(moved)), 3, moved, addressed)
    if _BRANCH.match(name):
        return Instruction(Unit.BRANCH, 1, 1, frozenset(), frozenset())
    if not name.startswith("v"):
        found = _GENERAL.findall(operands)
        if name in _COMPARES:
            return Instruction(Unit.INTEGER, 1, 1, frozenset(), frozenset(found))
        reads = found if operands.count(",") == 1 and name != "mov" else found[1:]
        return Instruction(Unit.INTEGER, 1, 1, frozenset(found[:1]), frozenset(reads))
    return _arithmetic(name, operands)


def _arithmetic(name: str, operands: str) -> Instruction:
    target, _, sources = operands.partition(",")
    writes, reads = _registers(target), _registers(sources)
    adds = re.match(r"v(mlal|mlsl|mla|mls|padal)\.", name)
    if adds or re.match(r"v(mull|mul|paddl)\.", name):
        cycles = 2 if name.startswith("vpad") and "q" in operands else 1
        kept = writes if adds else frozenset()
        return Instruction(
            Unit.VECTOR, cycles, 4, writes, reads | kept, accumulates=kept, forwards=True
        )
    unit = Unit.VECTOR if "q" in operands else Unit.HALF_VECTOR
    return Instruction(unit, 1, 3, writes, reads)


def _vector_memory(name: str, operands: str) -> Instruction:
    values, _, address = (
        operands.partition("[") if "[" in operands else operands.partition(",")[::-1]
    )
    moved = _registers(values)
    addressed = frozenset(_GENERAL.findall(address))
    changes = "!" in operands or bool(re.search(r"\]\s*,", operands))
    bases = frozenset(_GENERAL.findall(address)[:1]) if changes else frozenset()
    count = max(1, len(moved))
    if name.startswith("vst"):
        return Instruction(Unit.VECTOR_LOAD, count, 1, frozenset(), addressed | moved, bases)
    return Instruction(Unit.VECTOR_LOAD, count, 4, moved, addressed, bases)


def _registers(operands: str) -> frozenset[str]:
    found: set[str] = set()
    for first, last in _SPAN.findall(operands):
        found |= {f"d{n}" for n in range(int(first), int(last) + 1)}
    for kind, number in _VECTOR.findall(operands):
        n = int(number)
        found |= {f"d{n}"} if kind == "d" else {f"d{2 * n}", f"d{2 * n + 1}"}
    return frozenset(found)
