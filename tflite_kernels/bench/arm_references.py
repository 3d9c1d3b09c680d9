# SPDX-License-Identifier: Apache-2.0
"""Our loops for ARM against plain ones of the same tile (baseline/), by models of cores.

The in-order model of Cortex-A53 takes 32-bit code as well (in_order_arm32.py). llvm-mca 14 models
two more cores in 32-bit mode: A9, which stands for A15 and A17 too, and A57. In 64-bit mode its A57
stands for A72, A73, A76 and Neoverse-N1, with two SDOT a cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import arm_blocks
import arm_loops
import in_order
import in_order_arm32

_CORE = "tflite_kernels/CMakeFiles/oaq.dir/core/neon"
_BASELINE = "tflite_kernels/bench/CMakeFiles/oaq_arm_baseline.dir/baseline"
_ARMV7 = ("arm-linux-gnueabihf-objdump", "thumbv7-linux-gnueabihf")
_AARCH64 = ("aarch64-linux-gnu-objdump", "aarch64-linux-gnu")


@dataclass(frozen=True)
class Side:
    """A loop: the object that has it, in a build's folder, its function, and its name in tables."""

    path: str
    function: str
    name: str


@dataclass(frozen=True)
class Comparison:
    """Two loops on one model.

    Attributes:
      target: folder of the build.
      tools: the objdump, and llvm-mca's triple.
      model: a name of in_order.CORES, or a CPU of llvm-mca.
      least: that ours should be faster by; 0 where it is only reported.
      depth: that ours is drained at, 0 for never: a block of so many steps, as the object has it.
    """

    target: str
    tools: tuple[str, str]
    model: str
    ours: Side
    theirs: Side
    least: float = 0.0
    depth: int = 0


_INT16_2X4 = Side(f"{_CORE}/gemm_i16_c8_2x4_neon.c.o", "multiply_2", "int16 2x4, ARMv7")
_PAIRS_2X4 = Side(
    f"{_BASELINE}/gemm_2x4_c8_neon.c.o", "baseline_gemm_2x4_c8_neon", "T = 2 of 2x4, VPADAL"
)
_SDOT = Side(f"{_CORE}/gemm_i32_c4_8x8_dotprod.c.o", "multiply_8", "SDOT 8x8")
_PLAIN_SDOT = Side(
    f"{_BASELINE}/gemm_8x8_dotprod.c.o", "baseline_gemm_8x8_dotprod", "SDOT 8x8, packed rows"
)
_A72 = Side(
    f"{_CORE.replace('neon', 'aarch64')}/multiply_i16_c8_4x4_a72.S.o",
    "oaq_multiply_i16_c8_4x4_a72",
    "int16 4x4, a72, T = 16",
)
_PAIRS_4X4 = Side(f"{_CORE}/gemm_i32_pairs_c8_4x4_neon.c.o", "multiply_4", "exact 4x4, T = 2")

COMPARISONS = (
    Comparison("armv7", _ARMV7, "cortex-a9", _INT16_2X4, _PAIRS_2X4, least=1.2),
    Comparison("armv7", _ARMV7, "a53", _INT16_2X4, _PAIRS_2X4, least=1.2),
    Comparison("armv7", _ARMV7, "cortex-a57", _INT16_2X4, _PAIRS_2X4),
    Comparison("aarch64", _AARCH64, "neoverse-n1", _SDOT, _PLAIN_SDOT, least=1.0),
    Comparison("aarch64", _AARCH64, "cortex-a57", _A72, _PAIRS_4X4, depth=16),
)


def compare(builds: Path) -> list[dict]:
    """One row a comparison whose objects are there, in folders of targets."""
    rows = (_compared(builds, comparison) for comparison in COMPARISONS)
    return [row for row in rows if row is not None]


def _compared(builds: Path, comparison: Comparison) -> dict | None:
    sides = (comparison.ours, comparison.theirs)
    rates: list[float] = []
    for side, depth in zip(sides, (comparison.depth, 0), strict=True):
        path = builds / comparison.target / side.path
        if not path.is_file():
            return None
        code = arm_loops.disassemble(path, comparison.tools[0]).get(side.function, [])
        lines = arm_loops.hot_loop(code) if code else ()
        if lines and depth:
            lines = arm_blocks.block(code, arm_blocks.A72, depth)
        if not lines:
            return None
        products = arm_loops.products(lines)
        taken = cycles(lines, comparison.model, comparison.tools[1])
        if taken is None:
            return None
        rates.append(products / taken)
    return {
        "target": comparison.target,
        "model": comparison.model,
        "how": how(comparison.model),
        "ours": comparison.ours.name,
        "theirs": comparison.theirs.name,
        "mac_per_cycle": {"ours": rates[0], "theirs": rates[1]},
        "ratio": rates[0] / rates[1],
        "least": comparison.least or None,
    }


def how(model: str) -> str:
    """How a model's figures were obtained."""
    return (
        f"in-order model of {in_order.CORES[model].name}"
        if model in in_order.CORES
        else (f"llvm-mca -mcpu={model}")
    )


def cycles(lines: tuple[str, ...], model: str, triple: str) -> float | None:
    """Of an iteration; None where llvm-mca is wanted and not installed."""
    if model not in in_order.CORES:
        return arm_loops.out_of_order_cycles(lines, model, triple)
    parse: Callable = in_order.parse if triple.startswith("aarch64") else in_order_arm32.parse
    return in_order.cycles(lines, in_order.CORES[model], parse)


def table(rows: list[dict]) -> str:
    """As Markdown."""
    lines = [
        "## Against plain loops, MAC/cycle\n",
        "| ours | theirs | model | ours | theirs | ratio | at least |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        rates = row["mac_per_cycle"]
        cells = [row["ours"], row["theirs"], row["how"]]
        cells += [f"{rates['ours']:.2f}", f"{rates['theirs']:.2f}", f"{row['ratio']:.2f}x"]
        lines.append(f"| {' | '.join(cells)} | {row['least'] or '-'} |")
    return "\n".join([*lines, ""])
