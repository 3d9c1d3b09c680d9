# SPDX-License-Identifier: Apache-2.0
"""No spills in hot loops: what compilers make of the ARM kernels, read back from the objects."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_disassembly import KERNELS, Instruction, functions


@dataclass(frozen=True)
class Target:
    """A compiler for one kind of ARM, and how many spills a loop may have."""

    compiler: tuple[str, ...]
    objdump: str
    tile: str
    flags: tuple[str, ...]
    spills: int


AARCH64 = ("aarch64-linux-gnu-objdump", "4x4", ("-mtune=cortex-a53",))
ARMV7 = (
    "arm-linux-gnueabihf-objdump",
    "2x4",
    ("-mtune=cortex-a53", "-march=armv7-a", "-mfpu=neon"),
)
# With 16 registers clang 14 keeps a sum or two in memory.
TARGETS = {
    "aarch64-gcc": Target(("aarch64-linux-gnu-gcc",), *AARCH64, 0),
    "aarch64-clang": Target(("clang", "--target=aarch64-linux-gnu"), *AARCH64, 0),
    "armv7-gcc": Target(("arm-linux-gnueabihf-gcc",), *ARMV7, 3),
    "armv7-clang": Target(("clang", "--target=arm-linux-gnueabihf"), *ARMV7, 12),
}
EXTENSIONS = {"dotprod": ("-march=armv8.2-a+dotprod",), "i8mm": ("-march=armv8.2-a+dotprod+i8mm",)}
"""By the end of a file's name; 64-bit alone."""
MULTIPLY = re.compile(r"(smlal2?|smull2?|sdot|smmla|vmlal\.s8|vmull\.s8)$")
STACK = re.compile(r"\[sp\b")


def kernels(tile: str) -> list[str]:
    """The GEMM and depthwise kernels that cmake/arm.cmake compiles for a tile."""
    folder = KERNELS / "core" / "neon"
    tiles = ("4x4", "8x8") if tile == "4x4" else (tile,)
    names = [
        path.name
        for path in sorted(folder.glob("gemm_*.c"))
        if any(name in path.name for name in tiles)
    ]
    # Neither multiplies.
    others = {"depthwise_copy_neon.c", "depthwise_clamp_neon.c"}
    depthwise = [path.name for path in sorted(folder.glob("depthwise_*_neon.c"))]
    if tile != "4x4":
        # Kernels that end in codes are for 32 registers.
        depthwise = [name for name in depthwise if not name.startswith("depthwise_codes_")]
    return names + [name for name in depthwise if name not in others]


def target_of(jump: Instruction) -> int | None:
    """Where a conditional branch goes; the others that go backwards lead to a function's end."""
    found = re.search(r"([0-9a-f]+) <", jump.operands)
    conditional = re.match(r"b\.?(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)", jump.name)
    return int(found[1], 16) if conditional and found else None


def hot_loops(code: list[Instruction]) -> list[list[Instruction]]:
    """Innermost loops with multiplications in them."""
    jumps = [
        (start, jump.address)
        for jump in code
        if (start := target_of(jump)) is not None and code[0].address <= start <= jump.address
    ]
    loops = [
        [i for i in code if start <= i.address <= end]
        for start, end in jumps
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in jumps)
    ]
    return [loop for loop in loops if any(MULTIPLY.match(i.name) for i in loop)]


def spills(loop: list[Instruction]) -> list[Instruction]:
    """Vector registers to and from the stack."""
    vector = re.compile(r"\{?[qdv]\d")
    return [i for i in loop if vector.match(i.operands) and STACK.search(i.operands)]


@pytest.mark.parametrize("name", sorted({*kernels("4x4"), *kernels("2x4")}))
@pytest.mark.parametrize("target", TARGETS)
def test_hot_loops_keep_to_registers(target: str, name: str, tmp_path: Path) -> None:
    made = TARGETS[target]
    if name not in kernels(made.tile):
        pytest.skip("for the other kind of ARM")
    for program in (made.compiler[0], made.objdump):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    out = tmp_path / "kernel.o"
    source = KERNELS / "core" / "neon" / name
    flags = (*made.flags, *EXTENSIONS.get(source.stem.rpartition("_")[2], ()))
    options = ["-std=c11", "-O3", "-DNDEBUG", "-fPIC", *flags, f"-I{KERNELS}", "-c"]
    build = [*made.compiler, *options, str(source), "-o", str(out)]
    if subprocess.run(build, check=False, capture_output=True).returncode != 0:
        pytest.skip(f"{made.compiler[0]} has no headers for this target")
    dump = [made.objdump, "-d", "--no-show-raw-insn", str(out)]
    listing = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    found = [
        (function, loop)
        for function, code in functions(listing).items()
        if code
        for loop in hot_loops(code)
    ]
    assert found
    for function, loop in found:
        # What is left of rows, one by one, is as slow as its sum's latency.
        if not function.startswith("multiply_1") and not function.startswith("multiply_segments_1"):
            assert len(spills(loop)) <= made.spills, (function, spills(loop))


@pytest.mark.parametrize(
    "path", sorted((KERNELS / "core" / "aarch64").glob("*.S")), ids=lambda path: path.name
)
def test_assembly_keeps_what_protects_a_library(path: Path, tmp_path: Path) -> None:
    """By one object without notes a library loses branch targets, or gains an executable stack."""
    compiler = "aarch64-linux-gnu-gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    out = tmp_path / "kernel.o"
    subprocess.run([compiler, f"-I{KERNELS}", "-c", str(path), "-o", str(out)], check=True)
    notes = subprocess.run(
        ["aarch64-linux-gnu-readelf", "--notes", "--sections", str(out)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "AArch64 feature: BTI" in notes
    assert ".note.GNU-stack" in notes
    dump = [AARCH64[0], "-d", "--no-show-raw-insn", str(out)]
    listing = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    entries = [code[0] for name, code in functions(listing).items() if name.startswith("oaq_")]
    assert entries
    assert {entry.name for entry in entries} == {"bti"}
