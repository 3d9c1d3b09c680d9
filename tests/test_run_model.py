# SPDX-License-Identifier: Apache-2.0
"""The programs of tflite_kernels/bench, on the C library that `make matrix` fetches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oaq_keras import library
from oaq_keras.errors import LibraryError
from oaq_keras.plan import Plan
from oaq_keras.rewrite import to_custom_ops
from tests.matrix import fetch
from tests.models import small_network

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "tflite_kernels"
MODES = ("stock", "xnnpack", "oaq", "oaq+xnnpack", "reference")


@pytest.fixture(scope="session")
def runtime() -> str:
    cache = ROOT / "build" / "matrix"
    path = fetch.c_library(cache) if (cache / "package").is_dir() else ""
    if not path:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    return path


@pytest.fixture(scope="session")
def ours() -> str:
    try:
        return str(library.library_path())
    except LibraryError as error:
        pytest.skip(f"needs the C library: {error}")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    compiler = next((name for name in names if name and shutil.which(name)), None)
    if compiler is None:
        pytest.skip("needs a C compiler")
    path = tmp_path_factory.mktemp("bench") / "oaq_run_model"
    others = {"oaq_bench_kernels.c"}
    sources = sorted(str(p) for p in (KERNELS / "bench").glob("*.c") if p.name not in others)
    includes = [f"-I{KERNELS}", f"-I{KERNELS / 'include'}"]
    command = [compiler, "-std=c11", "-O1", *includes, *sources, "-o", str(path), "-ldl", "-lm"]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_network(largest=15))
    return path


@pytest.fixture
def command(program: Path, runtime: str, ours: str, model: Path) -> list[str]:
    """What every run needs, and few runs."""
    files = ["--runtime", runtime, "--library", ours, "--model", str(model)]
    return [str(program), *files, "--runs", "3", "--warmup", "1"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def modes(*names: str) -> list[str]:
    return [word for name in names for word in ("--mode", name)]


def figures(command: list[str]) -> dict[str, Any]:
    done = run([*command, "--json", "-"])
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_our_kernels_equal_the_runtimes_to_the_bit(command: list[str], tmp_path: Path) -> None:
    image = np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 3), "i1")
    (tmp_path / "image").write_bytes(image.tobytes())
    given = ["--input", str(tmp_path / "image"), "--output", str(tmp_path / "codes")]
    found = figures([*command, *modes("reference", "oaq"), *given, "--plan", "int16"])
    codes = (tmp_path / "codes.reference").read_bytes()
    assert len(codes) == 10
    assert (tmp_path / "codes.oaq").read_bytes() == codes
    assert [mode["differing_bytes"] for mode in found["modes"]] == [0, 0]
    # One mode alone writes the file by the name it was given.
    assert run([*command, *modes("oaq"), *given]).returncode == 0
    assert (tmp_path / "codes").read_bytes() == codes


def test_other_inputs_give_other_outputs(command: list[str], tmp_path: Path) -> None:
    outputs = []
    for value in (0, 100):
        (tmp_path / "image").write_bytes(bytes([value] * 192))
        given = ["--input", str(tmp_path / "image"), "--output", str(tmp_path / "codes")]
        assert run([*command, *modes("oaq"), *given]).returncode == 0
        outputs.append((tmp_path / "codes").read_bytes())
    assert outputs[0] != outputs[1]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_figures_of_every_mode(command: list[str], threads: str) -> None:
    found = figures([*command, *modes(*MODES), "--threads", threads, "--profile"])
    assert [mode["mode"] for mode in found["modes"]] == list(MODES)
    assert found["threads"] == int(threads)
    assert found["runtime_version"] == "2.9.0"
    for mode in found["modes"]:
        low, high = mode["quartiles_ms"]
        assert 0 < mode["least_ms"] <= low <= mode["median_ms"] <= high
        assert mode["runs"] == 3
        assert (mode["plan"] is not None) == mode["mode"].startswith("oaq")
        assert (mode["memory"] is None) == (mode["plan"] is None)
    profiled = [entry for entry in found["modes"][2]["plan"] if entry["runs"] != "stock"]
    assert len(profiled) == 5
    assert all(entry["invocations"] == 4 for entry in profiled)
    # The same sums as in Python.
    memory = Plan.from_json(json.dumps(found["modes"][2]["plan"])).memory()
    given = found["modes"][2]["memory"]
    sums = (memory.weights, memory.packed, memory.scratch)
    assert (given["weights"], given["packed"], given["scratch"]) == sums
    assert given["ratio"] == pytest.approx(memory.ratio, abs=1e-4)


def test_stops_after_some_seconds(command: list[str]) -> None:
    (mode,) = figures([*command, *modes("oaq"), "--seconds", "1e-9"])["modes"]
    assert mode["runs"] == 1


def test_markdown_names_what_times_depend_on(command: list[str]) -> None:
    done = run([*command, "--markdown", "--profile"])
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if line]
    tables = [line for line in lines if not line.startswith("Operators")]
    assert all(line.startswith("|") and line.endswith("|") for line in tables)
    names = ("board", "CPU", "governor", "kernel", "runtime", "oaq", "threads", "stock / mode")
    for name in (*names, "mode        | weights bytes"):
        assert f"| {name}" in done.stdout
    assert "DEPTHWISE_CONV_2D" in done.stdout


def test_oaq_operators_need_our_delegate(command: list[str], model: Path) -> None:
    model.write_bytes(to_custom_ops(model.read_bytes()))
    assert run([*command, *modes("oaq")]).returncode == 0
    refused = run([*command, *modes("stock")])
    assert refused.returncode == 2
    assert "--ops builtin" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "fast"], "expected stock, xnnpack, oaq"),
        (["--mode", "oaq", "--mode", "oaq"], "given twice"),
        (["--runs", "0"], "expected a whole number from 1"),
        (["--runs", "-1"], "expected a whole number from 1"),
        (["--threads", "many"], "expected a whole number from 1 to 9999"),
        (["--seconds", "nan"], "expected a number above 0"),
        (["--isa", "zebra"], "option isa is 'zebra'"),
        (["--plan", "zebra"], "option plan is 'zebra'"),
        (["--input", __file__], "the model's inputs take 192"),
        (["--input", "missing"], "can't be read"),
        (["--output", "missing/codes"], "can't be written"),
        (["--json", "missing/figures"], "can't be written"),
        (["--runtime", "missing.so"], "name it with --runtime"),
        (["--library", "missing.so"], "name it with --library"),
        (["--model", __file__], "TFL3"),
        (["--model"], "wants a value"),
        (["--zebra"], "unknown argument"),
    ],
)
def test_what_makes_no_sense_is_named(
    command: list[str], arguments: list[str], message: str
) -> None:
    done = run([*command, *arguments])
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("size", [0, 7, 8, 100, 1000])
def test_a_truncated_model(command: list[str], model: Path, size: int) -> None:
    model.write_bytes(model.read_bytes()[:size])
    done = run(command)
    assert done.returncode == 2
    assert "oaq_run_model: " in done.stderr


@pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")
def test_instructions_are_counted(program: Path, runtime: str, ours: str, model: Path) -> None:
    script = [sys.executable, str(KERNELS / "bench" / "count_instructions.py"), "--json"]
    files = ["--runner", str(program), "--runtime", runtime, "--library", ours]
    # The scalar kernels: valgrind need not know this CPU's instructions.
    given = [*modes("reference", "oaq"), "--isa", "scalar", "--model"]
    done = run([*script, *files, *given, str(model)])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["modes"]
    # The network has 31,000 MACs.
    assert all(10_000 < mode["instructions"] < 10_000_000 for mode in found)
    assert found[0]["ratio"] == 1
    refused = run([*script, *files, *given, "missing.tflite"])
    assert refused.returncode == 2
    assert "'missing.tflite' can't be read" in refused.stderr
