# SPDX-License-Identifier: Apache-2.0
"""The way of a call through a function of AArch64: executes its integer instructions alone.

Vector instructions decide nothing in our kernels, so that their arguments, without any data, say
which instructions a call executes, and how often. What is not known, as data, may be computed with
and never asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from arm_loops import Line

_MOST = 1_000_000
_MASK = (1 << 64) - 1
_ACCESS = re.compile(r"(.*?),?\s*\[(\w+)(?:, #(-?\w+))?\](!?)(?:, #?(-?\w+))?$")
_GENERAL = re.compile(r"[xw](\d+|zr)$")
_CONDITIONS = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "cc": lambda a, b: a < b,
    "cs": lambda a, b: a >= b,
}
_COMPUTED = {
    "mov": lambda a: a,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "subs": lambda a, b: a - b,
    "orr": lambda a, b: a | b,
    "lsr": lambda a, b: a >> b,
    "ubfx": lambda a, at, bits: a >> at & (1 << bits) - 1,
}


class PathError(Exception):
    """A branch that depends on what is not known, or an instruction that is not known."""


class _State:
    def __init__(self, memory: Mapping[int, int], registers: Mapping[str, int]) -> None:
        self.memory = memory
        self.registers: dict[str, int | None] = dict(registers)
        self.compared: tuple[int | None, int | None] = (None, None)

    def value(self, operand: str) -> int | None:
        """Of a register or a number; None where it is not known."""
        if operand.startswith("#"):
            return int(operand[1:], 0) & _MASK
        if operand.endswith("zr"):
            return 0
        return self.registers.get("x" + operand[1:] if operand[0] == "w" else operand)

    def set(self, register: str, value: int | None) -> None:
        mask = _MASK if register[0] == "x" else (1 << 32) - 1
        self.registers["x" + register[1:]] = None if value is None else value & mask

    def holds(self, condition: str) -> bool:
        first, second = self.compared
        if first is None or second is None or condition not in _CONDITIONS:
            raise PathError(f"{condition} is asked of what is not known")
        return _CONDITIONS[condition](first, second)


def walk(
    code: Sequence[Line], memory: Mapping[int, int], registers: Mapping[str, int]
) -> list[Line]:
    """The instructions that a call executes, from the function's first one to its RET.

    Args:
      code: the function.
      memory: what it may read, by address.
      registers: its arguments, by name ("x0").

    Raises:
      PathError: it can't be followed, or does not end.
    """
    places = {line.address: at for at, line in enumerate(code)}
    state = _State(memory, registers)
    path: list[Line] = []
    at = 0
    while len(path) < _MOST:
        line = code[at]
        path.append(line)
        name, _, rest = line.text.partition(" ")
        if name == "ret":
            return path
        at += 1
        if line.target is not None:
            if _taken(state, name, rest):
                at = places[line.target]
        else:
            _execute(state, name, rest)
    raise PathError("the call does not end")


def period(path: Sequence[Line], times: int) -> tuple[str, ...]:
    """What is executed between two visits of the first instruction that is executed so often."""
    visits = Counter(line.address for line in path)
    start = next((line.address for line in path if visits[line.address] == times), None)
    if start is None or times < 4:
        raise PathError(f"no instruction is executed {times} times")
    at = [index for index, line in enumerate(path) if line.address == start]
    middle = times // 2
    return tuple(line.text for line in path[at[middle] : at[middle + 1]])


def _taken(state: _State, name: str, rest: str) -> bool:
    if name == "b":
        return True
    if name.startswith("b."):
        return state.holds(name[2:])
    operands = [operand.strip() for operand in rest.split(",")]
    value = state.value(operands[0])
    if value is None:
        raise PathError(f"{name} {rest} asks for what is not known")
    if name.startswith("tb"):
        value = value >> int(operands[1][1:], 0) & 1
    return (value == 0) == name.endswith("bz")


def _execute(state: _State, name: str, rest: str) -> None:
    if access := _ACCESS.match(rest):
        _access(state, name, access)
        return
    operands = [operand.strip() for operand in rest.split(",")]
    if name in ("nop", "prfm") or not _GENERAL.match(operands[0]):
        return  # of vector registers, or the stack pointer
    if name in ("cmp", "tst"):
        state.compared = (state.value(operands[0]), state.value(operands[1]))
        return
    if name in ("csel", "cset"):
        chosen = operands[1:3] if name == "csel" else ["#1", "#0"]
        state.set(operands[0], state.value(chosen[0 if state.holds(operands[-1]) else 1]))
        return
    values = [state.value(operand) for operand in operands[1:3]]
    values += [state.value(operand.removeprefix("lsl ")) for operand in operands[3:4]]
    if len(operands) == 4 and operands[3].startswith("lsl"):
        shift = values.pop()
        last = values.pop()
        values.append(None if last is None or shift is None else last << shift)
    if name == "subs":
        state.compared = (values[0], values[1])
    known = [value for value in values if value is not None]
    computed = _COMPUTED.get(name) if len(known) == len(values) else None
    state.set(operands[0], computed(*known) if computed else None)


def _access(state: _State, name: str, access: re.Match[str]) -> None:
    moved = [text.strip() for text in access[1].split(",")]
    base = state.value(access[2])
    offset = int(access[3] or "0", 0)
    address = None if base is None else base + offset
    if name.startswith("ld") and _GENERAL.match(moved[0]):
        for index, register in enumerate(moved):
            known = None if address is None else address + 8 * index
            state.set(register, None if known is None else state.memory.get(known))
    if access[2] == "sp":
        return
    if access[4]:
        state.set(access[2], address)
    elif access[5]:
        number = access[5].startswith("x")
        added = state.value(access[5]) if number else int(access[5], 0)
        state.set(access[2], None if base is None or added is None else base + added)
