# SPDX-License-Identifier: Apache-2.0
"""Loops for ARM against plain ones, and 32-bit code on the in-order model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "tflite_kernels" / "bench"
sys.path.insert(0, str(BENCH))

import arm_references  # noqa: E402
import bench_arm  # noqa: E402
import in_order  # noqa: E402
import in_order_arm32  # noqa: E402

A53, A55 = in_order.CORES["a53"], in_order.CORES["a55"]
VMULL = [f"vmull.s8 q{n}, d30, d31" for n in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("loop", "a53", "a55"),
    [
        (["add.w r0, r9, #1", "adds r1, #4"], 1, 1),
        (["adds r1, #4", "adds r1, #4"], 2, 2),
        (["ldr.w r0, [r8, lr, lsl #2]", "ldr r1, [r5]"], 2, 2),
        (["subs r0, #1", "bne.n 0 <f>"], 1, 1),
        (VMULL, 4, 4),
        # Loads of 64 bits take a cycle, those of 128 two, and none goes with a product on A53.
        (["vld1.8 {d0}, [r0]", *VMULL[:1]], 2, 1),
        (["vld1.8 {d18-d19}, [r5], r0  @ again"], 2, 2),
        (["vld1.8 {d4-d7}, [r3]!"], 4, 4),
        (["vldr d0, [sp, #16]"], 1, 1),
        (["vst1.64 {d4-d5}, [r3]"], 2, 2),
        # Into the sums of the one before; what else reads them waits for four cycles.
        (["vmlal.s8 q0, d2, d3"], 1, 1),
        (["vmlal.s8 q0, d2, d3", "vadd.i16 q0, q0, q2"], 7, 7),
        (["vpadal.s16 q0, q1"], 2, 2),
        (["vpaddl.s16 d0, d1"], 1, 1),
        # q1 is d2 and d3.
        (["vmull.s8 q1, d4, d5", "vadd.i32 d6, d3, d2", "vmull.s8 q2, d6, d6"], 11, 11),
        (["vorr d0, d1, d1", "vorr d2, d3, d3"], 1, 1),
    ],
)
def test_issue_rules(loop: list[str], a53: float, a55: float) -> None:
    assert in_order.cycles(loop, A53, in_order_arm32.parse) == a53
    assert in_order.cycles(loop, A55, in_order_arm32.parse) == a55


@pytest.mark.parametrize("line", ["", "loop:", ".p2align 4", "@ a comment"])
def test_lines_without_instructions(line: str) -> None:
    assert in_order_arm32.parse(line) is None


LOOP = """
  .syntax unified
  .thumb
  .fpu neon
  .globl {name}
{name}:
.Lstep:
  vld1.8 {{d0-d1}}, [r0]!
  {products}
  subs r1, #1
  bne .Lstep
  bx lr
"""


@pytest.fixture
def builds(tmp_path: Path) -> Path:
    """A folder of builds with 32-bit loops: ours has four products, theirs drains them as well."""
    assembler = "arm-linux-gnueabihf-as"
    if shutil.which(assembler) is None:
        pytest.skip(f"needs {assembler}")
    drains = [f"vpadal.s16 q{n + 4}, q{n}" for n in (2, 3, 4, 5)]
    of_ours = arm_references.COMPARISONS[0]
    for side, products in ((of_ours.ours, VMULL), (of_ours.theirs, [*VMULL, *drains])):
        path = tmp_path / "armv7" / side.path
        path.parent.mkdir(parents=True)
        source = LOOP.format(name=side.function, products="\n  ".join(products))
        subprocess.run([assembler, "-o", str(path), "-"], input=source, text=True, check=True)
    return tmp_path


def test_loops_are_compared(builds: Path) -> None:
    rows = arm_references.compare(builds)
    assert all(row["target"] == "armv7" for row in rows)
    (row,) = (row for row in rows if row["model"] == "a53")
    # Two cycles of loads, four products; eight more cycles of sums. The branch goes with the last.
    assert row["mac_per_cycle"]["ours"] == pytest.approx(32 / 7)
    assert row["mac_per_cycle"]["theirs"] == pytest.approx(32 / 15)
    assert row["ratio"] == pytest.approx(15 / 7)
    assert row["how"] == "in-order model of Cortex-A53"
    if shutil.which("llvm-mca"):
        assert {row["model"] for row in rows} == {"a53", "cortex-a9", "cortex-a57"}
        assert all(row["ratio"] >= 1 for row in rows)
    text = arm_references.table(rows)
    assert "2.14x" in text
    assert text.count("\n") == 4 + len(rows)


def test_the_report_has_them(builds: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    (builds / "aarch64" / bench_arm.OBJECTS).mkdir(parents=True)
    command = [sys.executable, str(BENCH / "bench_arm.py"), "--build", str(builds / "aarch64")]
    done = subprocess.run(
        [*command, "--json", str(found)], capture_output=True, text=True, check=True
    )
    rows = json.loads(found.read_text())["references"]
    assert rows == arm_references.compare(builds)
    assert arm_references.table(rows) in done.stdout


def test_loops_of_this_build() -> None:
    """Each is as fast as it should be."""
    folder = ROOT / "build" / "arm"
    missing = [
        side.path
        for comparison in arm_references.COMPARISONS
        for side in (comparison.ours, comparison.theirs)
        if not (folder / comparison.target / side.path).is_file()
    ]
    if missing:
        pytest.skip("needs `make arm`")
    rows = arm_references.compare(folder)
    if shutil.which("llvm-mca"):
        assert len(rows) == len(arm_references.COMPARISONS)
    assert any(row["model"] == "a53" for row in rows)
    for row in rows:
        assert row["ratio"] >= (row["least"] or 0.9), row
