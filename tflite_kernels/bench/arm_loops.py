# SPDX-License-Identifier: Apache-2.0
"""Hot loops of ARM objects: found in the disassembly, and timed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import in_order

_ITERATIONS = 100
# 32-bit ARM's have the condition in the name, and a suffix for how long they are.
_CONDITION = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"(b|b\.\w+|cbn?z|tbn?z|b({_CONDITION})?(\.[nw])?)$")
# Products of one instruction, by the width of its sums: eight int16, four int32, or dot products.
_PRODUCTS = {
    re.compile(r"[su]m(lal|lsl|ull)2? v\d+\.8h"): 8,
    re.compile(r"(mla|mls|mul) v\d+\.8h"): 8,
    re.compile(r"vm(lal|lsl|ull)\.[su]8 q\d+"): 8,
    re.compile(r"[su]m(lal|lsl|ull)2? v\d+\.4s"): 4,
    re.compile(r"(mla|mls|mul) v\d+\.4s"): 4,
    re.compile(r"[su]+dot v\d+\.4s"): 16,
    re.compile(r"[su]+mmla v\d+\.4s"): 32,
}
# A53 has no dot products. A55 has, but nothing says how the model's rules hold for them.
_NOT_IN_ORDER = re.compile(r"[su]+(dot|mmla) ")


@dataclass(frozen=True)
class Line:
    """An instruction, and where it lies in its section."""

    address: int
    text: str

    @property
    def target(self) -> int | None:
        """Where a branch goes."""
        name, _, operands = self.text.partition(" ")
        found = re.search(r"([0-9a-f]+) <", operands)
        return int(found[1], 16) if _BRANCH.match(name) and found else None

    @property
    def products(self) -> int:
        """Multiplications of codes."""
        return next((n for form, n in _PRODUCTS.items() if form.match(self.text)), 0)


def disassemble(path: Path, objdump: str = "aarch64-linux-gnu-objdump") -> dict[str, list[Line]]:
    """Instructions by function.

    Raises:
      OSError: objdump can't be run.
      CalledProcessError: it refuses the file.
    """
    command = [objdump, "-d", "--no-show-raw-insn", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[Line]] = {}
    code: list[Line] = []
    for line in run.stdout.splitlines():
        if start := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            # gcc tells clones of a function from it by a suffix.
            code = found.setdefault(start[1].split(".")[0], [])
        elif part := re.match(r"\s+([0-9a-f]+):\s+(\S+)\s*(.*)$", line):
            operands = part[3].partition("//")[0].strip()
            code.append(Line(int(part[1], 16), f"{part[2]} {operands}".strip()))
    return found


def products(loop: tuple[str, ...]) -> int:
    """Multiplications of an iteration."""
    return sum(Line(0, text).products for text in loop)


def hot_loop(code: list[Line]) -> tuple[str, ...]:
    """The innermost loop with most multiplications; empty where no loop has any."""
    spans = sorted(
        {
            (line.target, line.address)
            for line in code
            if line.target is not None and code[0].address <= line.target <= line.address
        }
    )

    def between(start: int, end: int) -> list[Line]:
        return [line for line in code if start <= line.address <= end]

    inner = [
        (start, end)
        for start, end in spans
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in spans)
    ]
    best = max(inner, key=lambda span: sum(line.products for line in between(*span)), default=None)
    loop = between(*best) if best else []
    return tuple(line.text for line in loop) if any(line.products for line in loop) else ()


def out_of_order_cycles(
    loop: tuple[str, ...], cpu: str = "cortex-a57", triple: str = "aarch64-linux-gnu"
) -> float | None:
    """Cycles of an iteration by llvm-mca; None where it is not installed or fails."""
    if shutil.which("llvm-mca") is None:
        return None
    # Branches go to the loop's beginning: where they go, llvm-mca does not ask.
    lines = [re.sub(r"[0-9a-f]+ <[^>]*>$", ".Lbegin", text) for text in loop]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "loop.s"
        source.write_text("\n".join([".Lbegin:", *lines, ""]))
        features = "+dotprod,+i8mm" if triple.startswith("aarch64") else "+neon"
        command = ["llvm-mca", f"-mtriple={triple}", f"-mcpu={cpu}", f"-mattr={features}"]
        command += [f"-iterations={_ITERATIONS}", str(source)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Total Cycles:\s+(\d+)", run.stdout)
    return int(found[1]) / _ITERATIONS if found else None


def cycles_on(loop: tuple[str, ...], core: str) -> float | None:
    """Of an iteration on the in-order models a53 and a55, or on llvm-mca's a57.

    None where llvm-mca is not installed, and where the core lacks the instructions.
    """
    if core not in in_order.CORES:
        return out_of_order_cycles(loop, f"cortex-{core}")
    if any(_NOT_IN_ORDER.match(text) for text in loop):
        return None
    return in_order.cycles(loop, in_order.CORES[core])


def cycles(loop: tuple[str, ...]) -> dict[str, float | None]:
    """Of an iteration, by core."""
    return {core: cycles_on(loop, core) for core in (*in_order.CORES, "a57")}
