# SPDX-License-Identifier: Apache-2.0
"""The models of ARM's cores, the loops that they time, and the tables of `make bench-arm`."""

from __future__ import annotations

import json
import re
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

import arm_blocks  # noqa: E402
import arm_loops  # noqa: E402
import arm_networks  # noqa: E402
import bench_arm  # noqa: E402
import certified  # noqa: E402
import count_cycles  # noqa: E402
import in_order  # noqa: E402
import integer_path  # noqa: E402
import parts  # noqa: E402

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


@pytest.fixture(scope="module")
def made() -> Path:
    """The build of `make arm`."""
    folder = ROOT / "build" / "arm" / "aarch64"
    if not (folder / arm_blocks.OBJECTS).is_dir():
        pytest.skip("needs `make arm` of a version with assembly for 64-bit ARM")
    return folder


@pytest.fixture(scope="module")
def loops(made: Path) -> dict[str, dict]:
    """Loops of that build, by name."""
    return {row["name"]: row for row in bench_arm.cut(made, bench_arm.LOOPS)}


@pytest.fixture(scope="module")
def blocks(made: Path) -> dict[str, dict]:
    """Blocks of its assembly, by kernel; not those that need llvm-mca, where it is missing."""
    return {row["name"]: row for row in arm_blocks.measure(made)}


def test_loops_of_this_build(loops: dict[str, dict]) -> None:
    assert set(loops) == {loop.name for loop in bench_arm.LOOPS}
    for name, row in loops.items():
        assert row["products"] >= 32
        if name in ("SDOT 8x8", "SMMLA 8x8"):
            # A53 has neither, and the model no rules for them.
            assert set(row["mac_per_cycle"]) <= {"a57"}
        else:
            assert 1 < row["mac_per_cycle"]["a53"] < 8


@pytest.mark.parametrize(
    ("kernel", "depth", "least"),
    [
        ("int16 4x4, a53", "never drained", 6.0),
        ("int16 4x4, a53", "T = 16", 5.3),
        ("int16 4x4, a53", "T = 8", 4.7),
        ("int16 4x4, a55", "never drained", 7.2),
        ("int16 4x4, a72", "T = 16", 7.6),
        ("int16 4x16, a53", "never drained", 5.8),
        ("int16 4x16, a53", "T = 16", 5.3),
        ("int16 4x16, a55", "never drained", 7.0),
        ("int16 4x16, a55", "T = 16", 6.2),
    ],
)
def test_least_rates(blocks: dict[str, dict], kernel: str, depth: str, least: float) -> None:
    if kernel not in blocks and shutil.which("llvm-mca") is None:
        pytest.skip("needs llvm-mca (Debian: llvm)")
    assert blocks[kernel]["mac_per_cycle"][depth] >= least


@pytest.mark.parametrize("stride", [1, 2])
def test_least_rate_of_depthwise_codes(loops: dict[str, dict], stride: int) -> None:
    loop = loops[f"depthwise 3x3 into codes, stride {stride}, a53"]
    assert loop["mac_per_cycle"]["a53"] >= 2.0


def _costs() -> dict[str, dict[str, float]]:
    """What kernels_arm.c plans with, by kernel: a step, a drain, the end of a group in codes."""
    text = (ROOT / "tflite_kernels" / "core" / "arm" / "kernels_arm.c").read_text()
    number = r"([\d.]+)f"
    found = {}
    form = rf"^OAQ_CORE\((\w+), (?:[^,]+, ){{5}}{number}, {number}, {number}, {number}, "
    for core, step, drain, _, end in re.findall(form, text, re.MULTILINE):
        found[f"int16 4x4, {core}"] = {"step": step, "drain": drain, "end": end}
    form = rf"^OAQ_BROADCAST\((\w+), \w+, {number}, {number}, {number}\)"
    for core, step, drain, end in re.findall(form, text, re.MULTILINE):
        found[f"int16 4x16, {core}"] = {"step": step, "drain": drain, "end": end}
    return {name: {of: float(n) for of, n in row.items()} for name, row in found.items()}


def test_the_plan_knows_what_kernels_take(blocks: dict[str, dict]) -> None:
    costs = _costs()
    # Cores of several kinds plan as A53.
    assert costs.pop("int16 4x4, per_core") == costs["int16 4x4, a53"]
    assert set(costs) == {kernel.name for kernel in arm_blocks.KERNELS}
    for name, row in blocks.items():
        cost = costs[name]
        assert cost["step"] == pytest.approx(row["step"], rel=0.1)
        if row["model"] not in in_order.CORES:
            continue  # out of order, a drain is hidden behind the next block's products
        # The plan's drain of 4x4 is that of kernels of one block, which many layers are.
        assert cost["drain"] == pytest.approx(row["drain_by_level"][0], rel=0.15)
        whole = row["end_of_group"][arm_blocks.WHOLE]
        assert cost["drain"] + cost["end"] == pytest.approx(whole, rel=0.1)


def test_the_way_of_a_call() -> None:
    code = [
        arm_loops.Line(4 * at, text)
        for at, text in enumerate(
            [
                "ldp x1, x2, [x0, #16]",
                "ldr d0, [x3], #8",  # what is not known may be loaded
                "subs x1, x1, #0x1",
                "b.eq 18 <f+0x18>",
                "tbz w2, #1, 4 <f+0x4>",
                "b 4 <f+0x4>",
                "ret",
            ]
        )
    ]
    memory = {16: 3, 24: 2}
    path = integer_path.walk(code, memory, {"x0": 0})
    assert [line.address // 4 for line in path] == [0, *2 * (1, 2, 3, 4, 5), 1, 2, 3, 6]
    with pytest.raises(integer_path.PathError, match="not known"):
        integer_path.walk(code, {24: 2}, {"x0": 0})
    with pytest.raises(integer_path.PathError, match="does not end"):
        integer_path.walk([arm_loops.Line(0, "b 0 <f>")], {}, {})
    path = integer_path.walk(code, {**memory, 16: 6}, {"x0": 0})
    assert len(integer_path.period(path, 6)) == 5
    with pytest.raises(integer_path.PathError, match="7 times"):
        integer_path.period(path, 7)


def _layer(name: str, is_depthwise: bool, int16: float) -> arm_networks.Layer:
    return arm_networks.Layer(name, is_depthwise, 900, int16, 20, 100)


def test_rates_are_of_layers() -> None:
    layers = [_layer("0", False, 600), _layer("1", True, 0), _layer("2", True, 0)]
    ours = [
        {parts.MULTIPLY: 100, parts.EXACT: 60, parts.DRAIN: 40, parts.OUTPUT: 120},
        {parts.DEPTHWISE: 300, parts.ROWS: 100},
        {parts.DEPTHWISE: 400, parts.OUTPUT: 200, parts.DRIVER: 200},
    ]
    found = arm_networks.rates(layers, ours)
    assert {name: rate["value"] for name, rate in found.items()} == {
        "multiplications": 6,
        "exact sums": 5,
        "drains": 2,
        # Not by the depthwise layers' codes.
        "output stage": 1.2,
        "dense, with output stages": 900 / 320,
        "dense, with rows and driver": 900 / 320,
        # Nor without the output stage of the one that has it apart.
        "depthwise, with output stages": 2,
        "depthwise, with rows and driver": 1.5,
    }
    assert found["depthwise, with output stages"]["parts"] == [parts.DEPTHWISE, parts.OUTPUT]
    theirs = [{parts.THEIR_DENSE: 450}, *2 * [{parts.THEIR_DEPTHWISE: 600}]]
    found = arm_networks.rates(layers, theirs)
    assert found["dense, with output stages"]["value"] == 2
    assert found["depthwise, with output stages"]["value"] == 1.5
    (row,) = arm_networks.slower(["0", "1", "2"], ours, theirs)
    assert (row["layer"], row["ours"], row["theirs"], row["ratio"]) == ("2", 800, 600, 0.75)
    assert arm_networks.rates(layers, []) == {}
    assert arm_networks.slower(["0", "1", "2"], ours, []) == []


def report(arguments: list[str], folder: Path, code: int = 0) -> tuple[Any, str]:
    """The JSON object, and what was printed."""
    command = [sys.executable, str(BENCH / "bench_arm.py"), *arguments]
    done = subprocess.run(
        [*command, "--json", str(folder / "found.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "All figures" in done.stdout
    return json.loads((folder / "found.json").read_text()), done.stdout


def test_no_networks_without_a_runtime(build: Path, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    # A network that was asked for and can't be run is a fault.
    found, printed = report(["--build", str(build), "--models", str(model)], tmp_path, code=2)
    assert set(found["how"]) >= {"a53", "a55", "a57", "blocks", "networks", "parts", "rates"}
    assert found["networks"] == []
    assert "`make matrix`" in printed


@pytest.fixture
def programs() -> count_cycles.Programs:
    """What executes networks."""
    target = emulated.TARGETS["aarch64"]
    cache = ROOT / "build" / "matrix"
    runtime = fetch.c_library(cache, "aarch64") if (cache / "package").is_dir() else ""
    if not runtime:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    found = count_cycles.Programs(target.folder, Path(runtime))
    if reason := oaq_arm.missing(target) or count_cycles.missing(found):
        pytest.skip(f"{reason} (`make arm`)")
    return found


def test_networks_are_executed(programs: count_cycles.Programs, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    given = ["--build", str(programs.build), "--runtime", str(programs.runtime)]
    found, printed = report([*given, "--models", str(model)], tmp_path)
    (network,) = found["networks"]
    theirs, ours, _ = network["kernels"]
    assert theirs["ratio"] == 1
    assert ours["ratio"] == theirs["cycles"] / ours["cycles"]
    for row in network["kernels"]:
        assert sum(row["parts"].values()) == row["cycles"]
        assert row["work"]["dense"] == row["work"]["int16"] + row["work"]["exact"]
        assert row["work"]["dense_codes"] == theirs["work"]["dense_codes"]
        for layer, name in zip(row["by_layer"], row["layer_names"], strict=True):
            assert sum(layer.values()) > 0, name
    assert ours["rates"]["multiplications"]["of"] == "MAC/cycle"
    assert network["instructions"]["ratio"] < 2
    assert "| small.tflite |" in printed
    assert {row["name"] for row in found["blocks"]} >= {"int16 4x4, a53", "int16 4x16, a55"}
    assert "| int16 4x16, a53 | a53 |" in printed


def test_a_network_by_xnnpack(
    programs: count_cycles.Programs, shared_data: Path, tmp_path: Path
) -> None:
    """Visual wake words on the model of Cortex-A53, in at most two thirds of XNNPACK's cycles."""
    file = shared_data / "models" / "mlperftiny_vww96_int8.tflite"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    model = tmp_path / "model.tflite"
    model.write_bytes(certified.certified(file.read_bytes(), bench_arm.DEPTH))
    theirs, ours = (
        sum(count_cycles.inference(programs, model, mode).cycles.values())
        for mode in (count_cycles.THEIRS, count_cycles.OURS)
    )
    assert theirs / ours >= 1.5
