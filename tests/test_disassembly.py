# SPDX-License-Identifier: Apache-2.0
"""No spills in hot loops: what compilers make of the x86 kernels, read back from the objects."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "tflite_kernels"
COMPILERS = ("gcc", "clang")

# Copies for each product besides what SSE needs. gcc 12 moves some sums to another register and
# back; renaming makes such copies, on no execution port, so each costs a place in the front end.
SLACK = {"gcc": 2, "clang": 0}

MULTIPLIES = re.compile(r"v?(pmaddubsw|pmaddwd|pdpbusds?|pmullw|pmulhw|pmulld)$")
OF_CODES = re.compile(r"v?pmaddubsw$")
VECTOR = re.compile(r"%[xyz]mm\d+")
COPY = re.compile(r"v?mov(dq[au](8|16|32|64)?|ap[sd]|up[sd])$")
FLIP = re.compile(r"pxor|xorp[sd]|p(add|sub)b")
LOADED_FROM = re.compile(r"-?(?:0x[0-9a-f]+)?\((%\w+)")

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="reads kernels for x86-64"
)


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly; `address` is where it lies in its section."""

    address: int
    name: str
    operands: str

    @property
    def target(self) -> int | None:
        """Where a jump goes."""
        found = re.match(r"([0-9a-f]+) <", self.operands)
        return int(found[1], 16) if self.name.startswith("j") and found else None


def kernel_files() -> dict[str, list[str]]:
    """The kernels' sources in cmake/x86.cmake, each with its flags."""
    text = re.sub(r"#.*", "", (KERNELS / "cmake" / "x86.cmake").read_text())
    files: dict[str, list[str]] = {}
    for loop in re.finditer(r"foreach\((\w+)([^)]*)\)(.*?)endforeach\(\)", text, re.DOTALL):
        variable, values, body = loop.groups()
        expanded = "".join(body.replace(f"${{{variable}}}", value) for value in values.split())
        text = text.replace(loop[0], expanded)
    for flags, names in re.findall(r'oaq_add_kernels\("([^"]*)"([^)]*)\)', text):
        files.update(dict.fromkeys(names.split(), flags.split(";")))
    return files


def functions(listing: str) -> dict[str, list[Instruction]]:
    """Instructions by function, of `objdump -d --no-show-raw-insn`."""
    found: dict[str, list[Instruction]] = {}
    code: list[Instruction] = []
    for line in listing.splitlines():
        if start := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            code = found.setdefault(start[1], [])
        elif part := re.match(r"\s+([0-9a-f]+):\s+(?:\{\w+\} )?(\S+)\s*(.*)$", line):
            code.append(Instruction(int(part[1], 16), part[2], part[3]))
    return found


def innermost_loops(code: list[Instruction]) -> list[list[Instruction]]:
    """What lies between a jump backwards and where it goes, without another such jump in it."""
    jumps = [
        (jump.target, jump.address)
        for jump in code
        if jump.target is not None and code[0].address <= jump.target <= jump.address
    ]
    inner = [
        (start, end)
        for start, end in jumps
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in jumps)
    ]
    return [[i for i in code if start <= i.address <= end] for start, end in inner]


def spills(loop: list[Instruction], frame: bool) -> list[Instruction]:
    """Vector instructions that reach into the stack; `frame`: %rbp points there too."""
    stack = {"%rsp", "%rbp"} if frame else {"%rsp"}
    return [
        i
        for i in loop
        if VECTOR.search(i.operands) and stack & set(LOADED_FROM.findall(i.operands))
    ]


def copies(loop: list[Instruction]) -> list[Instruction]:
    """Copies from one vector register to another."""
    return [
        i
        for i in loop
        if COPY.fullmatch(i.name) and len(VECTOR.findall(i.operands)) == 2 and "(" not in i.operands
    ]


def faults(listing: str, slack: int) -> tuple[int, list[str]]:
    """How many hot loops there are, and what is wrong with them.

    `slack`: copies for each product in a loop, besides those that SSE needs.
    """
    hot = 0
    wrong = []
    for name, code in functions(listing).items():
        # What is left of rows, one by one, is as slow as its sum's latency: clang 14 has it stored
        # at each step where a tile is one register wide.
        if name.endswith("_1"):
            continue
        # Where VPMADDUBSW makes the products, VPMADDWD drains them.
        multiplies = OF_CODES if any(OF_CODES.fullmatch(i.name) for i in code) else MULTIPLIES
        frame = any(i.name == "mov" and i.operands == "%rsp,%rbp" for i in code)
        for loop in innermost_loops(code):
            products = sum(bool(multiplies.fullmatch(i.name)) for i in loop)
            if products == 0:
                continue
            hot += 1
            where = f"{name}, loop of {len(loop)} instructions at {loop[0].address:x}"
            wrong += [f"{where}: spill: {i.name} {i.operands}" for i in spills(loop, frame)]
            # With two operands to an instruction, each product takes the place of one factor.
            sse = any(i.name in ("pmaddubsw", "pmaddwd", "pmullw") for i in loop)
            found = copies(loop)
            if len(found) > products * (slack + sse):
                wrong.append(
                    f"{where}: {len(found)} copies for {products} products: {found[0].operands}"
                )
    return hot, wrong


def compiled(compiler: str, source: Path, flags: list[str], out: Path) -> str:
    """The disassembly of a source."""
    command = [compiler, "-std=c11", "-fPIC", *flags, f"-I{KERNELS}", "-c", str(source)]
    subprocess.run([*command, "-o", str(out)], check=True)
    dump = ["objdump", "-d", "--no-show-raw-insn", str(out)]
    return subprocess.run(dump, capture_output=True, text=True, check=True).stdout


@cache
def accepts(compiler: str, flag: str) -> bool:
    command = [compiler, flag, "-x", "c", "-c", "-", "-o", "/dev/null"]
    return subprocess.run(command, input=b"", capture_output=True, check=False).returncode == 0


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> str:
    for program in (request.param, "objdump"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    return str(request.param)


def test_all_kernels_are_looked_at() -> None:
    files = kernel_files()
    for isa in ("sse41", "avx2", "avx512bw", "vnni"):
        gemms = {f"core/{isa}/{p.name}" for p in (KERNELS / "core" / isa).glob("gemm_*.c")}
        depthwise = {f"core/{isa}/{p.name}" for p in (KERNELS / "core" / isa).glob("depthwise_*.c")}
        tables = {f"core/{isa}/depthwise_{isa}.c"}
        assert gemms
        assert gemms | depthwise - tables <= set(files)


@pytest.mark.parametrize("name", [name for name in kernel_files() if "output" not in name])
def test_hot_loops_keep_to_registers(compiler: str, name: str, tmp_path: Path) -> None:
    flags = kernel_files()[name]
    for flag in flags:
        if not accepts(compiler, flag):
            pytest.skip(f"{compiler} does not know {flag}")
    listing = compiled(compiler, KERNELS / name, ["-O3", "-DNDEBUG", *flags], tmp_path / "k.o")
    hot, wrong = faults(listing, SLACK[compiler])
    assert hot > 0 or "copy" in name or "look_up" in name  # no products
    assert not wrong, "\n".join(wrong)


def test_codes_are_flipped_a_register_at_a_time(compiler: str, tmp_path: Path) -> None:
    source = KERNELS / "core" / "code_table.c"
    code = functions(compiled(compiler, source, ["-O3", "-DNDEBUG"], tmp_path / "k.o"))
    loops = [loop for each in code.values() for loop in innermost_loops(each)]
    # Of jumps back to a function's end, too, which span all of it.
    short = [loop for loop in loops if len(loop) <= 16]
    assert any(FLIP.fullmatch(i.name) and VECTOR.search(i.operands) for loop in short for i in loop)


def test_forced_spills_and_copies_are_found(compiler: str, tmp_path: Path) -> None:
    """More sums than registers, and a sum that moves between two of them."""
    source = tmp_path / "spill.c"
    source.write_text("""
        #include <immintrin.h>
        void many(const __m256i* a, const __m256i* b, int steps, __m256i* out) {
          __m256i s[20];
          #pragma GCC unroll 20
          for (int i = 0; i < 20; ++i) s[i] = out[i];
          for (int k = 0; k < steps; ++k)
            #pragma GCC unroll 20
            for (int i = 0; i < 20; ++i)
              s[i] = _mm256_add_epi16(s[i], _mm256_maddubs_epi16(a[k], b[20 * k + i]));
          #pragma GCC unroll 20
          for (int i = 0; i < 20; ++i) out[i] = s[i];
        }
        void copy(const __m256i* a, int steps, __m256i* out) {
          __m256i s = *out;
          for (int k = 0; k < steps; ++k) {
            s = _mm256_maddubs_epi16(a[k], s);
            __asm__ volatile("vmovdqa %0, %%ymm7\\n\\tvmovdqa %%ymm7, %0" : "+x"(s) : : "xmm7");
          }
          *out = s;
        }
    """)
    hot, wrong = faults(compiled(compiler, source, ["-O3", "-mavx2"], tmp_path / "k.o"), 0)
    assert hot == 2
    assert any(text.startswith("many") and "spill" in text for text in wrong)
    assert any(text.startswith("copy") and "2 copies" in text for text in wrong)
