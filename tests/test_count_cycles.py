# SPDX-License-Identifier: Apache-2.0
"""Cycles of emulated programs: the model in C against in_order.py, functions, parts of the work."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.arm import emulated, oaq_arm
from tests.matrix import fetch
from tests.models import ModelBuilder, small_network

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "tflite_kernels" / "bench"
sys.path.insert(0, str(BENCH))

import arm_networks  # noqa: E402
import certified  # noqa: E402
import core_table  # noqa: E402
import count_cycles  # noqa: E402
import cycles  # noqa: E402
import in_order  # noqa: E402
import parts  # noqa: E402
import qemu_plugin  # noqa: E402
import symbols  # noqa: E402

GCC = "aarch64-linux-gnu-gcc"
# The loop of in_order.cycles, by qemu/in_order.h: a table, then how often all codes are issued
# before and while cycles are counted, then the codes.
ISSUE = """
#include <inttypes.h>
#include <stdio.h>
#include "table.h"
int main(int count, char** arguments) {
  static Table table;
  static InOrderCore core = {.first = kNoKind};
  if (count != 4 || !table_read(arguments[1], &table)) return 1;
  for (int i = 0; i <= kMaxKinds; ++i) core.pairs[i] = table.pairs[i];
  static uint32_t codes[4096];
  size_t length = 0;
  while (scanf("%" SCNx32, &codes[length]) == 1) ++length;
  int warm_up = 0, measured = 0;
  sscanf(arguments[2], "%d", &warm_up);
  sscanf(arguments[3], "%d", &measured);
  uint64_t total = 0;
  for (int n = 0; n < warm_up + measured; ++n) {
    for (size_t i = 0; i < length; ++i) {
      const uint64_t taken = in_order_issue(&core, table_find(&table, codes[i]));
      if (n >= warm_up) total += taken;
    }
  }
  printf("%" PRIu64, total);
  return 0;
}
"""
# Instructions of every kind of the model; {a}, {b} and {c} are numbers of registers.
FORMS = (
    "add x{a}, x{b}, #1",
    "subs x{a}, x{b}, x{c}",
    "cmp x{a}, x{b}",
    "csel x{a}, x{b}, x{c}, lo",
    "movk x{a}, #5, lsl #16",
    "nop",
    "ldr x{a}, [x20]",
    "ldr x{a}, [x{b}], #8",
    "ldp x{a}, x21, [x20, #16]",
    "ldrb w{a}, [x{b}, x{c}]",
    "str w{a}, [x{b}]",
    "prfm pldl1keep, [x{a}]",
    "ldr d{a}, [x20]",
    "ldr q{a}, [x{b}, #16]!",
    "ldp q{a}, q21, [x20]",
    "ld1 {{v{a}.16b}}, [x{b}], #16",
    "ld1 {{v{a}.b}}[3], [x{b}]",
    "ld1r {{v{a}.8h}}, [x{b}]",
    "st1 {{v{a}.s}}[1], [x{b}], x{c}",
    "str q{a}, [x{b}], #16",
    "ins v{a}.d[1], x{b}",
    "mov v{a}.d[0], x{b}",
    "umov w{a}, v{b}.b[2]",
    "dup v{a}.8h, w{b}",
    "smull v{a}.8h, v{b}.8b, v{c}.8b",
    "smlal v{a}.8h, v{b}.8b, v{c}.8b",
    "smlal2 v{a}.4s, v{b}.8h, v15.h[3]",
    "mla v{a}.4s, v{b}.4s, v{c}.4s",
    "sadalp v{a}.4s, v{b}.8h",
    "sadalp v{a}.2s, v{b}.4h",
    "saddlp v{a}.4s, v{b}.8h",
    "addp v{a}.4s, v{b}.4s, v{c}.4s",
    "add v{a}.2s, v{b}.2s, v{c}.2s",
    "sqrdmulh v{a}.4s, v{b}.4s, v{c}.s[0]",
    "sqxtn v{a}.8b, v{b}.8h",
    "bsl v{a}.16b, v{b}.16b, v{c}.16b",
    "fmul v{a}.4s, v{b}.4s, v{c}.4s",
)


def needs(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")


def assembled(lines: list[str], folder: Path) -> list[int]:
    """The codes of a loop."""
    needs("aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy")
    paths = [str(folder / name) for name in ("loop.o", "loop.bin")]
    source = "\n".join(["again:", *lines, ""])
    subprocess.run(["aarch64-linux-gnu-as", "-o", paths[0]], input=source, text=True, check=True)
    copy = ["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text"]
    subprocess.run([*copy, *paths], check=True)
    content = (folder / "loop.bin").read_bytes()
    return [int.from_bytes(content[i : i + 4], "little") for i in range(0, len(content), 4)]


@pytest.fixture(scope="session")
def issue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ISSUE`, compiled for this machine without warnings."""
    names = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    compiler = next((name for name in names if name and shutil.which(name)), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("issue")
    (folder / "issue.c").write_text(ISSUE)
    warnings = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    sources = [str(folder / "issue.c"), str(BENCH / "qemu" / "table.c")]
    command = [compiler, *warnings, f"-I{BENCH / 'qemu'}", *sources]
    subprocess.run([*command, "-o", str(folder / "issue")], check=True)
    return folder / "issue"


def issued(issue: Path, codes: list[int], core: in_order.Core, folder: Path) -> float:
    """Cycles of an iteration, by the model in C."""
    table = folder / "table"
    table.write_text(core_table.table(codes, core))
    command = [str(issue), str(table), str(in_order.WARM_UP), str(in_order.MEASURED)]
    text = " ".join(f"{code:x}" for code in codes)
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return int(run.stdout) / in_order.MEASURED


@pytest.mark.parametrize("core", in_order.CORES)
@pytest.mark.parametrize("seed", range(20))
def test_the_model_in_c(issue: Path, core: str, seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    lines = [
        form.format(**{name: draw.randrange(16) for name in "abc"})
        for form in draw.choices(FORMS, k=draw.randrange(1, 80))
    ]
    codes = assembled([*lines, "cbnz x19, again"], tmp_path)
    texts = core_table.disassemble(codes)
    chosen = in_order.CORES[core]
    assert issued(issue, codes, chosen, tmp_path) == in_order.cycles(texts, chosen)
    # The disassembler's text says the same as what was assembled.
    assert in_order.cycles(texts, chosen) == in_order.cycles([*lines, "cbnz x19, 0"], chosen)


@pytest.mark.parametrize(
    ("name", "core", "cycles_taken"),
    [
        ("a53_4x4_c8_never", "a53", 41),
        ("a53_4x4_c8_T16", "a53", 369),
        ("a55_4x4_c8_never", "a55", 33),
    ],
)
def test_known_schedules(
    issue: Path, shared_data: Path, name: str, core: str, cycles_taken: float, tmp_path: Path
) -> None:
    path = shared_data.parent / "tools" / "loops" / f"{name}.loop"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    # Branches go somewhere.
    lines = [line.replace(".L0", "again") for line in path.read_text().splitlines()]
    codes = assembled(lines, tmp_path)
    assert issued(issue, codes, in_order.CORES[core], tmp_path) == cycles_taken


def test_every_form_has_a_row() -> None:
    for unit in in_order.Unit:
        for taken in (1, 4):
            made = in_order.Instruction(
                unit, taken, 4, frozenset({"x0", "v31"}), frozenset({"x30", "v0"}),
                frozenset({"x1"}), frozenset({"v0"}), forwards=True,
            )  # fmt: skip
            kind, took, latency, forwards, reads, writes, bases, accumulates = core_table.row(
                made
            ).split()
            assert int(kind) == 2 * list(in_order.Unit).index(unit) + (taken > 1)
            assert (int(took), int(latency), int(forwards)) == (taken, 4, 1)
            assert int(reads, 16) == 1 << 30 | 1 << 32
            assert int(writes, 16) == 1 | 1 << 63
            assert (int(bases, 16), int(accumulates, 16)) == (1 << 1, 1 << 32)


# Programs.

PROGRAM = """
  .globl _start
  .type _start, %function
_start:
  mov x19, #{rounds}
  adr x20, data
  bl twice
  adr x9, nameless
  blr x9
  mov x8, #93
  mov x0, #0
  svc #0
  .size _start, . - _start
  .globl twice
  .type twice, %function
twice:
again:
{loop}
  subs x19, x19, #1
  b.ne again
  ret
  .size twice, . - twice
nameless:
  nop
  ret
data:
  .space 64
"""
LOOP = ["ldr d0, [x20]", "ldr x1, [x20, #8]", "smlal v2.8h, v0.8b, v1.8b", "ins v1.d[0], x1"]


def built(folder: Path, rounds: int) -> str:
    needs(GCC, "qemu-aarch64", "aarch64-linux-gnu-objdump", "readelf")
    program = folder / f"program_{rounds}"
    source = PROGRAM.format(rounds=rounds, loop="\n".join(LOOP))
    command = [GCC, "-static", "-nostdlib", "-x", "assembler", "-", "-o", str(program)]
    subprocess.run(command, input=source, text=True, check=True)
    return str(program)


def executed(folder: Path, rounds: int) -> tuple[str, cycles.Executed]:
    program = built(folder, rounds)
    plugin = cycles.build_plugin(folder)
    return program, cycles.executed(["qemu-aarch64"], [program], in_order.CORES["a53"], plugin)


def test_a_run_in_pieces(tmp_path: Path) -> None:
    program = built(tmp_path, 100)
    start = next(start for start, _, name in symbols.functions(program) if name == "twice")
    core, plugin = in_order.CORES["a53"], cycles.build_plugin(tmp_path)
    pieces = cycles.pieces(["qemu-aarch64"], [program], core, plugin, (program, start))
    # The loop begins where the function does.
    assert len(pieces) == 1 + 100
    assert {sum(piece.counts.values()) for piece in pieces[1:-1]} == {len(LOOP) + 2}
    whole = cycles.executed(["qemu-aarch64"], [program], core, plugin)
    assert sum(pieces, cycles.Executed()) == whole


def test_a_program_on_the_model(tmp_path: Path) -> None:
    path, many = executed(tmp_path, 300)
    _, few = executed(tmp_path, 100)
    taken = {
        rounds: symbols.by_function(found.cycles, found.entries)
        for rounds, found in ((300, many), (100, few))
    }
    each = in_order.cycles([*LOOP, "subs x19, x19, #1", "b.ne 0"], in_order.CORES["a53"])
    few_path = path.replace("300", "100")
    difference = taken[300][path, "twice"] - taken[100][few_path, "twice"]
    assert difference == 200 * each
    counts = symbols.by_function(many.counts, many.entries)
    assert counts[path, "twice"] == 300 * (len(LOOP) + 2) + 1
    # Nothing but a call tells where it begins.
    (nameless,) = (name for _, name in counts if name.startswith("at 0x"))
    assert counts[path, nameless] == 2


def test_functions_of_a_stripped_file(tmp_path: Path) -> None:
    needs(GCC, "aarch64-linux-gnu-strip", "readelf")
    source = (
        "static __attribute__((noinline)) int inner(int x) { return x * x + 7; }\n"
        "int outer(int x) { return inner(x) + inner(x + 1); }\n"
    )
    library = tmp_path / "library.so"
    (tmp_path / "some_source.c").write_text(source)
    build = [GCC, "-O1", "-shared", "-fPIC", "-nostdlib", str(tmp_path / "some_source.c")]
    subprocess.run([*build, "-o", str(library)], check=True)
    known = symbols.functions(str(library))
    assert {name for _, _, name in known} >= {"outer", "inner of some_source.c"}
    starts = {name: start for start, _, name in known}
    subprocess.run(["aarch64-linux-gnu-strip", str(library)], check=True)
    stripped = symbols.functions(str(library))
    names = {start: name for start, _, name in stripped}
    assert names[starts["outer"]] == "outer"
    assert names[starts["inner of some_source.c"]].startswith("0x")
    assert symbols.functions(str(tmp_path / "absent")) == []


def test_a_program_that_fails(tmp_path: Path) -> None:
    needs("qemu-aarch64")
    with pytest.raises(qemu_plugin.EmulatorError):
        qemu_plugin.run(["qemu-aarch64"], "plugin", [str(tmp_path / "absent")])


@pytest.mark.parametrize(
    ("name", "instruction", "part"),
    [
        ("oaq_multiply_i16_c8_4x4_a53", "smlal v0.8h, v16.8b, v24.8b", parts.MULTIPLY),
        ("oaq_multiply_i16_c8_4x4_a53", "ins v16.d[0], x8", parts.MULTIPLY),
        ("oaq_multiply_i16_c8_4x4_a53", "saddlp v0.4s, v0.8h", parts.DRAIN),
        ("oaq_multiply_i16_c8_4x4_a53", "sqrdmulh v0.4s, v0.4s, v1.4s", parts.OUTPUT),
        ("multiply_4 of gemm_i32_pairs_c8_4x4_neon.c", "sadalp v0.4s, v1.8h", parts.EXACT),
        ("oaq_depthwise_copy_neon", "ldr q0, [x0]", parts.ROWS),
        ("oaq_depthwise_i16_3x3_s1_neon", "ldr q0, [x0]", parts.DEPTHWISE),
        ("output_plain of output_neon.c", "ldr q0, [x0]", parts.OUTPUT),
        ("oaq_op_eval", "ret", parts.DRIVER),
    ],
)
def test_parts_of_our_functions(name: str, instruction: str, part: str) -> None:
    assert parts.of_ours(name, instruction) == part


# Networks.


@pytest.fixture(scope="session")
def programs() -> count_cycles.Programs:
    cache = ROOT / "build" / "matrix"
    runtime = fetch.c_library(cache, "aarch64") if (cache / "package").is_dir() else ""
    if not runtime:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    found = count_cycles.Programs(emulated.TARGETS["aarch64"].folder, Path(runtime))
    reason = oaq_arm.missing(emulated.TARGETS["aarch64"]) or count_cycles.missing(found)
    if reason:
        pytest.skip(f"{reason} (`make arm`)")
    return found


def test_xnnpack_takes_its_kernels_for_the_core(
    programs: count_cycles.Programs, tmp_path: Path
) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    found = count_cycles.inference(programs, model, count_cycles.THEIRS)
    assert parts.by_part(found)[parts.THEIR_DENSE] > 0
    known = sorted(set(found.codes.values()))
    text = dict(zip(known, core_table.disassemble(known), strict=True))
    names = symbols.names(found.cycles, found.entries)
    by_lane = {names[at] for at, code in found.codes.items() if ".h[7]" in text[code]}
    # Only those for Cortex-A53 load weights by way of general registers.
    moves = [names[at] for at, code in found.codes.items() if ".d[0], x" in text[code]]
    assert by_lane & set(moves)


def convolution(products: int) -> bytes:
    """A layer of 64 pixels and 32 channels."""
    builder = ModelBuilder()
    draw = np.random.default_rng(1)
    weights = draw.integers(-127, 128, (32, 1, 1, products)).astype(np.int8)
    source = builder.input((1, 8, 8, products))
    return builder.build(builder.conv(source, weights, scale=0.5))


@pytest.mark.parametrize(("depth", "least", "most"), [(16, 5.0, 6.1), (4096, 6.0, 6.4)])
def test_a_layer_reaches_what_its_loop_does(
    programs: count_cycles.Programs, depth: int, least: float, most: float, tmp_path: Path
) -> None:
    content = certified.certified(convolution(1024), depth)
    model = tmp_path / "layer.tflite"
    model.write_bytes(content)
    found = parts.by_part(count_cycles.inference(programs, model, count_cycles.OURS))
    (layer,) = arm_networks.layers_of(content, count_cycles.plan(programs, model))
    assert layer.int16 == layer.macs == 64 * 32 * 1024
    assert layer.codes == 64 * 32
    rate = layer.int16 / (found[parts.MULTIPLY] + found[parts.DRAIN])
    assert least < rate < most
    rates = arm_networks.rates([layer], [found])
    assert rates["multiplications"]["value"] > rate
    assert {"drains", "output stage", "dense, with output stages"} < set(rates)
    assert not any(name.startswith("depthwise") for name in rates)


def test_the_command(programs: count_cycles.Programs, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    command = [sys.executable, str(BENCH / "count_cycles.py"), "--model", str(model), "--json"]
    command += ["--build", str(programs.build), "--runtime", str(programs.runtime)]
    given = [*command, "--symbols", "3", "--layers"]
    run = subprocess.run(given, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    ours, theirs = json.loads(run.stdout)
    for row in (ours, theirs):
        assert row["cycles"] == sum(row["parts"].values())
        assert 0 < row["layers"] <= row["cycles"]
        assert len(row["functions"]) == 3
        # Nothing of a layer is outside of its piece.
        layers = sum(sum(layer.values()) for layer in row["by_layer"])
        assert layers == pytest.approx(row["layers"], rel=0.05)
    assert len(ours["by_layer"]) == len(theirs["by_layer"])
    assert parts.MULTIPLY in ours["parts"]
    assert parts.THEIR_DENSE in theirs["parts"]
    model.write_bytes(b"")
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "TFL3" in run.stderr
