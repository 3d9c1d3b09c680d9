# SPDX-License-Identifier: Apache-2.0
"""The models of ARM's cores, the loops that they time, and the tables of `make bench-arm`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.arm import emulated, oaq_arm
from tests.matrix import fetch
from tests.models import small_network

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "tflite_kernels" / "bench"
sys.path.insert(0, str(BENCH))

import arm_loops  # noqa: E402
import bench_arm  # noqa: E402
import count_cycles  # noqa: E402
import in_order  # noqa: E402

A53, A55 = in_order.CORES["a53"], in_order.CORES["a55"]
AS = "aarch64-linux-gnu-as"


INS = [f"ins v{i}.d[0], x1" for i in range(1, 5)]
MOV = [f"mov v{i}.d[0], x1" for i in range(1, 5)]
SMULL = [f"smull v{i}.8h, v8.8b, v9.8b" for i in range(1, 5)]
ADD = [f"add x{i}, x9, #1" for i in range(1, 5)]


def mixed(load: str, others: list[str]) -> list[str]:
    return [line for other in others for line in (load, other)]


@pytest.mark.parametrize(
    ("loop", "a53", "a55"),
    [
        # Two integer operations a cycle; one that waits for the other pairs with the next.
        (ADD, 2, 2),
        (["add x0, x1, #1", "add x1, x0, #1"], 2, 2),
        # One branch, one load or store, one vector operation of 128 bits a cycle.
        (["ldr x0, [x9]", "ldr x1, [x9, #8]"], 2, 2),
        (["ldr x0, [x9]", "str d1, [x9]"], 2, 2),
        (SMULL, 4, 4),
        (["subs x0, x0, #1", "b.ne 0 <f>"], 1, 1),
        # Vector loads: with INS, with a product, with an integer operation.
        (mixed("ldr d0, [x0]", INS), 4, 4),
        (mixed("ldr d0, [x0]", MOV), 4, 4),
        (mixed("ldr d0, [x0]", SMULL), 8, 4),
        (mixed("ldr x2, [x0]", SMULL), 4, 4),
        (mixed("ldr q0, [x0]", ADD), 12, 8),
        (["ldp q0, q1, [x0]"], 4, 4),
        (["ld1 {v0.8b, v1.8b}, [x0], #16"], 2, 2),
        (["ld1 {v0.16b}, [x0]"], 2, 2),
        (["ldr s0, [x0]"], 1, 1),
        # A product's sum is forwarded to the next product, and to nothing else.
        (["smlal v0.8h, v1.8b, v2.8b"], 1, 1),
        (["smlal v0.8h, v1.8b, v2.8b", "add v0.8h, v0.8h, v0.8h"], 7, 7),
        (["sadalp v0.4s, v1.8h"], 2, 2),
        (["saddlp v0.4s, v1.8h"], 2, 2),
        # A base that addressing changes is there before what was loaded.
        (["ldr x1, [x0], #8"], 1, 1),
        (["ldr x0, [x0]"], 3, 3),
    ],
)
def test_issue_rules(loop: list[str], a53: float, a55: float) -> None:
    assert in_order.cycles(loop, A53) == a53
    assert in_order.cycles(loop, A55) == a55


def test_lines_without_instructions() -> None:
    assert in_order.parse("  .p2align 4") is None
    assert in_order.parse("loop:  // again") is None
    with pytest.raises(ValueError, match="without instructions"):
        in_order.cycles(["loop:"], A53)


@pytest.mark.parametrize(
    ("name", "macs", "core", "cycles"),
    [
        ("a53_4x4_c8_never", 256, "a53", 41),
        ("a53_4x4_c8_T16", 2048, "a53", 369),
        ("a55_4x4_c8_never", 256, "a55", 33),
        ("a55_4x4_c8_never", 256, "a53", 48),
    ],
)
def test_known_schedules(shared_data: Path, name: str, macs: int, core: str, cycles: float) -> None:
    path = shared_data.parent / "tools" / "loops" / f"{name}.loop"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    loop = path.read_text().splitlines()
    assert in_order.cycles(loop, in_order.CORES[core]) == cycles
    assert sum(arm_loops.Line(0, text).products for text in loop) == macs


# A kernel of one row and four channels: blocks of steps, each drained.
KERNEL = """
  .globl multiply_4
multiply_4:
  movi v20.4s, #0
.Lblock:
  movi v16.8h, #0
  movi v17.8h, #0
  mov x5, x1
.Lstep:
  ldr d0, [x0], #8
  ldp d1, d2, [x2], #16
  smlal v16.8h, v0.8b, v1.8b
  smlal v17.8h, v0.8b, v2.8b
  subs x5, x5, #1
  b.ne .Lstep
  sadalp v20.4s, v16.8h
  sadalp v20.4s, v17.8h
  subs x4, x4, #1
  b.ne .Lblock
.Lcopy:
  ldr x6, [x0], #8
  cbnz x6, .Lcopy
  ret
  .globl no_loop
no_loop:
  smull v0.8h, v1.8b, v2.8b
  ret
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder with one object, of `KERNEL`."""
    if shutil.which(AS) is None:
        pytest.skip(f"needs {AS}")
    path = tmp_path / bench_arm.OBJECTS / "neon" / "gemm_i16_c8_4x4_neon.c.o"
    path.parent.mkdir(parents=True)
    subprocess.run([AS, "-o", str(path), "-"], input=KERNEL, text=True, check=True)
    return tmp_path


def test_the_hot_loop_is_found(build: Path) -> None:
    (path,) = build.rglob("*.o")
    found = arm_loops.disassemble(path)
    assert set(found) == {"multiply_4", "no_loop"}
    assert arm_loops.hot_loop(found["no_loop"]) == ()
    loop = arm_loops.hot_loop(found["multiply_4"])
    assert [text.split()[0] for text in loop] == [*("ldr", "ldp", "smlal", "smlal", "subs", "b.ne")]
    assert arm_loops.products(loop) == 16


def test_a_loop_is_timed(build: Path) -> None:
    (row,) = bench_arm.cut(build, bench_arm.LOOPS)
    assert (row["name"], row["products"], row["instructions"]) == ("int16 4x4", 16, 6)
    # On A53 three cycles of loads, none of which pairs with the two products.
    assert row["cycles"]["a53"] >= 5
    assert row["cycles"]["a55"] <= row["cycles"]["a53"]
    assert row["mac_per_cycle"]["a53"] == 16 / row["cycles"]["a53"]
    if shutil.which("llvm-mca"):
        assert 2 <= row["cycles"]["a57"] <= 10


def test_loops_of_this_build() -> None:
    folder = ROOT / "build" / "arm" / "aarch64"
    if not (folder / bench_arm.OBJECTS / "neon").is_dir():
        pytest.skip("needs `make arm` of a version with kernels for NEON")
    rows = bench_arm.cut(folder, bench_arm.LOOPS)
    assert {row["name"] for row in rows} == {loop.name for loop in bench_arm.LOOPS}
    for row in rows:
        assert row["products"] >= 32
        if row["name"] not in ("SDOT 8x8", "SMMLA 8x8"):
            assert 1 < row["mac_per_cycle"]["a53"] < 8


def report(arguments: list[str], folder: Path) -> tuple[Any, str]:
    """The JSON object, and what was printed."""
    command = [sys.executable, str(BENCH / "bench_arm.py"), *arguments]
    done = subprocess.run(
        [*command, "--json", str(folder / "found.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "All figures" in done.stdout
    return json.loads((folder / "found.json").read_text()), done.stdout


def test_no_networks_without_a_runtime(build: Path, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    found, printed = report(["--build", str(build), "--models", str(model)], tmp_path)
    assert set(found["how"]) == {"a53", "a55", "a57", "networks", "parts", "rates"}
    assert found["networks"] == []
    assert "`make matrix`" in printed


def test_networks_are_executed(tmp_path: Path) -> None:
    target = emulated.TARGETS["aarch64"]
    cache = ROOT / "build" / "matrix"
    runtime = fetch.c_library(cache, "aarch64") if (cache / "package").is_dir() else ""
    if not runtime:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    missing = count_cycles.missing(count_cycles.Programs(target.folder, Path(runtime)))
    if reason := oaq_arm.missing(target) or missing:
        pytest.skip(f"{reason} (`make arm`)")
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    given = ["--build", str(target.folder), "--runtime", runtime, "--models", str(model)]
    found, printed = report(given, tmp_path)
    (network,) = found["networks"]
    theirs, ours, _ = network["kernels"]
    assert theirs["ratio"] == 1
    assert ours["ratio"] == theirs["cycles"] / ours["cycles"]
    for row in network["kernels"]:
        assert sum(row["parts"].values()) == row["cycles"]
        assert row["work"] == {**row["work"], "codes": theirs["work"]["codes"]}
    assert ours["rates"]["multiply"]["of"] == "MAC/cycle"
    assert "| small.tflite |" in printed
