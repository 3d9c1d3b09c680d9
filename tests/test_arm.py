# SPDX-License-Identifier: Apache-2.0
"""What `make arm` built, under qemu."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.arm import batch, cases, emulated, oaq_arm, whole
from tests.matrix import fetch
from tests.models import (
    enlarging_network,
    small_network,
    threaded_network,
    upsampling_network,
)

ROOT = oaq_arm.ROOT
BENCH = ROOT / "tflite_kernels" / "bench"


# Whole networks in the C library of TFLite 2.9.

RUN_MODEL = "tflite_kernels/bench/oaq_run_model"
REAL = {
    "tf2_mobilenet_v2_1.0_224_ptq": 52,
    "mlperftiny_resnet8_cifar10_int8": 9,
    "mlperftiny_vww96_int8": 27,
}
"""Certified at T = 16; how many of their layers come before the runtime's own arithmetic."""
SMALL = (small_network, upsampling_network, enlarging_network, threaded_network)


@pytest.fixture(scope="session")
def run_model() -> list[str]:
    """oaq_run_model on an emulated Cortex-A53, which `in_every_way` goes on from."""
    target = emulated.TARGETS["aarch64"]
    program = target.folder / RUN_MODEL
    reason = oaq_arm.missing(target)
    if reason or not program.is_file():
        pytest.skip(reason or "needs `make arm`")
    cache = ROOT / "build" / "matrix"
    runtime = fetch.c_library(cache, "aarch64") if (cache / "package").is_dir() else ""
    if not runtime:
        pytest.skip("needs the TensorFlow Lite C library: `make matrix` fetches it")
    library = target.folder / oaq_arm.LIBRARY
    command = emulated.program(target, "cortex-a53", program)
    return [*command, "--runtime", runtime, "--library", str(library)]


def in_every_way(command: list[str], content: bytes, least: int, folder: Path) -> None:
    """One network on every ISA, in int16 and exact, and on each CPU as it comes."""
    network = whole.observed(content)
    (folder / "network").write_bytes(content)
    ran: dict[tuple[str, ...], bytes] = {}
    for cpu in emulated.TARGETS["aarch64"].cpus:
        on_cpu = [cpu if word == "cortex-a53" else word for word in command]
        isas = emulated.isas(on_cpu, folder / "network")
        ways = [(isa, plan, "2") for isa in isas for plan in ("int16", "exact")]
        for isa, plan, threads in [*ways, ("auto", "auto", "1")]:
            # An ISA does the same on every CPU that has it.
            if isa != "auto" and (isa, plan) in ran:
                continue
            way = ["--isa", isa, "--plan", plan, "--threads", threads]
            found, made = whole.run([*on_cpu, *way], network.content, network.image, folder)
            compared, wrong = whole.differing(network, made, found)
            assert not wrong, (cpu, isa, plan, wrong)
            assert compared >= least, (cpu, isa, plan)
            ran[(isa, plan)] = found
        # As it was, with the memory of its tensors shared.
        alone, _ = whole.run(on_cpu, content, network.image, folder)
        assert found.endswith(alone)
    assert ("scalar", "int16") in ran


@pytest.mark.parametrize("make", SMALL, ids=lambda make: make.__name__)
def test_small_networks(run_model: list[str], make: Callable[[int], bytes], tmp_path: Path) -> None:
    in_every_way(run_model, make(15), 2, tmp_path)


@pytest.mark.parametrize("name", REAL)
def test_real_networks(run_model: list[str], name: str, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "models" / f"{name}.tflite"
    if not source.is_file():
        pytest.skip(f"needs {source}")
    certify = [sys.executable, str(BENCH / "certified.py")]
    certified = tmp_path / "certified.tflite"
    subprocess.run([*certify, str(source), str(certified)], check=True)
    in_every_way(run_model, certified.read_bytes(), REAL[name], tmp_path)


# Networks and operators in Python.

CPUS = [(name, cpu) for name, target in emulated.TARGETS.items() for cpu in target.cpus]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases, with this machine's answers."""
    if all(batch.missing(target) for target in emulated.TARGETS.values()):
        pytest.skip("needs `make arm` and `make arm-fetch`")
    folder = tmp_path_factory.mktemp("cases")
    networks = [cases.network(seed) for seed in range(12)]
    cases.write_all(folder, [*networks, *cases.operators(1, 48)])
    return folder


@pytest.mark.parametrize(("name", "cpu"), CPUS)
def test_python_answers_as_the_reference(folder: Path, name: str, cpu: str) -> None:
    target = emulated.TARGETS[name]
    reason = batch.missing(target)
    if reason:
        pytest.skip(reason)
    found = batch.run(target, cpu, folder)
    assert not found.differences, "\n".join(found.differences)
    assert found.isas[0] == "scalar"
    assert found.counts["cases"] == 60
    if name == "aarch64":
        # The same release as on this machine.
        assert found.counts["refused"] == found.counts["runtime_differs"] == 0
    assert found.counts["compared"] > 500_000


def test_a_wrong_answer_is_found(tmp_path: Path) -> None:
    target = emulated.TARGETS["aarch64"]
    reason = batch.missing(target)
    if reason:
        pytest.skip(reason)
    case = cases.network(3)
    name = next(name for name in case.arrays if name.startswith("4 out"))
    case.arrays[name].reshape(-1)[-1] ^= 1
    cases.write_all(tmp_path, [case])
    (difference,) = batch.run(target, target.cpus[0], tmp_path).differences
    assert "network 3" in difference
    assert "inputs 4: 1 of" in difference


# Instructions.


def count(run_model: list[str], model: Path, *options: str) -> subprocess.CompletedProcess[str]:
    emulator, program, rest = run_model[:5], run_model[5], run_model[6:]
    command = [sys.executable, str(BENCH / "count_instructions.py"), *rest, *options]
    command += ["--emulator", shlex.join(emulator), "--runner", program, "--model", str(model)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_instructions_are_counted(run_model: list[str], tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_network(15))
    given = ["--mode", "xnnpack", "--mode", "oaq", "--isa", "scalar", "--symbols", "5", "--json"]
    done = count(run_model, model, *given)
    assert done.returncode == 0, done.stderr
    xnnpack, ours = json.loads(done.stdout)["modes"]
    # The network has 31,000 MACs.
    assert 2_000 < xnnpack["instructions"] < 200_000
    assert 200 < xnnpack["vector_multiplies"] < 20_000
    assert ours["ratio"] == ours["instructions"] / xnnpack["instructions"]
    for row, library in ((xnnpack, "libtensorflowlite_c.so"), (ours, "liboaq_tflite.so")):
        assert sum(row["libraries"].values()) == pytest.approx(row["instructions"])
        assert next(iter(row["libraries"])) == library
    assert any(name.startswith("oaq_gemm_") for name in ours["symbols"])


def test_what_can_not_be_counted_is_said(run_model: list[str], tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(b"")
    done = count(run_model, model, "--threads", "2")
    assert done.returncode == 2
    assert "one thread" in done.stderr
    done = count(run_model, model)
    assert done.returncode == 2
    assert "TFL3" in done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("source", sorted((BENCH / "qemu").glob("*.c")), ids=lambda path: path.stem)
def test_plugins_compile_without_warnings(compiler: str, source: Path, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    command = [compiler, *warnings, "-c", str(source), "-o", str(tmp_path / "plugin.o")]
    subprocess.run(command, check=True)
