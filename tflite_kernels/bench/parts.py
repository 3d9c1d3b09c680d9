# SPDX-License-Identifier: Apache-2.0
"""What an inference spends its cycles on: executed instructions by the part of the work they do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import core_table
import symbols
from cycles import Executed
from symbols import Place

OURS = "liboaq_tflite.so"
MULTIPLY = "multiply"
EXACT = "exact sums"
DRAIN = "drain"
OUTPUT = "output stage"
DEPTHWISE = "depthwise"
ROWS = "rows: lines, gathering, copies"
DRIVER = "our driver"
OTHER_OURS = "our other operators"
THEIR_DENSE = "XNNPACK's dense kernels"
THEIR_DEPTHWISE = "XNNPACK's depthwise kernels"
RUNTIME = "the rest of the runtime"
SYSTEM = "C library and program"
DENSE = (MULTIPLY, DRAIN, EXACT)
LAYERS = (*DENSE, OUTPUT, DEPTHWISE, ROWS, DRIVER, THEIR_DENSE, THEIR_DEPTHWISE)
"""What is counted as convolutions, depthwise ones and dense layers, on either side."""

# Of our functions by name, the first that fits.
_NAMES = (
    (re.compile(r"code_table|look_up|recode"), OTHER_OURS),
    (re.compile(r"depthwise_copy|image_lines|gather"), ROWS),
    (re.compile(r"multiply_\w+ of gemm_i32|multiply_i32"), EXACT),
    (re.compile(r"multiply_\w"), MULTIPLY),
    (re.compile(r"output|requantize|panel_finish"), OUTPUT),
    (re.compile(r"depthwise|run_columns"), DEPTHWISE),
)
# Files that are neither ours nor the runtime.
_SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\W|ld-|oaq_run_model|\[")
# Within the functions that multiply.
_DRAINS = re.compile(r"(s|u)?add(lp|w2?|l2?|v)? v|addp v|sadalp v|movi v|mov v\d+\.16b")
_ENDS = re.compile(
    r"sq(r?dmulh|r?shrn2?|r?shl|xtu?n2?|add) v|srshl|ssra|srsra|s(max|min) v|st[r1]|xtn2? v"
)
# XNNPACK multiplies by lanes of one register in dense layers, and code by code in depthwise ones.
_BY_LANE = re.compile(
    r"smlal2? v\d+\.4s, v\d+\.\dh, v\d+\.h\[|[su]dot |smlal2? v\d+\.8h, v\d+\.\d+b, v\d+\.b\["
)
_BY_CODE = re.compile(r"sm(la|ul)l2? v\d+\.8h, v\d+\.\d+b, v\d+\.\d+b")


def by_part(found: Executed) -> Counter[str]:
    """Cycles by part, of a run with our delegate, XNNPACK's or both."""
    return add_up(found, of_places(found))


def add_up(found: Executed, part_of: Mapping[Place, str]) -> Counter[str]:
    """Cycles by part, where that is known of each place."""
    cycles: Counter[str] = Counter()
    for place, taken in found.cycles.items():
        cycles[part_of[place]] += taken
    return cycles


def of_places(found: Executed) -> dict[Place, str]:
    """What each place belongs to."""
    known = sorted(set(found.codes.values()))
    text = dict(zip(known, core_table.disassemble(known), strict=True))
    names = symbols.names(found.cycles, found.entries)
    theirs = _their_kernels(found, names, text)
    return {
        (path, offset): of_ours(name, text[found.codes[path, offset]])
        if Path(path).name == OURS
        else theirs.get((path, name), SYSTEM)
        for (path, offset), name in names.items()
    }


def of_ours(name: str, instruction: str) -> str:
    """What an instruction of one of our functions belongs to."""
    part = next((part for form, part in _NAMES if form.search(name)), DRIVER)
    if part not in (MULTIPLY, EXACT):
        return part
    if _ENDS.match(instruction):
        return OUTPUT
    if part == EXACT:
        return EXACT
    return DRAIN if _DRAINS.match(instruction) else MULTIPLY


def _their_kernels(
    found: Executed, names: dict[Place, str], text: dict[int, str]
) -> dict[tuple[str, str], str]:
    """The runtime's functions, by what they multiply."""
    kinds: dict[tuple[str, str], str] = {}
    for place in found.cycles:
        path, name = place[0], names[place]
        if _SYSTEM.match(Path(path).name) or not name:
            continue
        instruction = text[found.codes[place]]
        if _BY_LANE.match(instruction):
            kinds[path, name] = THEIR_DENSE
        elif _BY_CODE.match(instruction):
            kinds[path, name] = THEIR_DEPTHWISE
        else:
            kinds.setdefault((path, name), RUNTIME)
    return kinds
