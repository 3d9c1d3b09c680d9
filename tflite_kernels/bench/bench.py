# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""All measurements of docs/benchmarks.md: kernels, whole networks, executed instructions.

python bench.py --programs DIR [--library FILE] [--runtime FILE] [--models FILE...] [--json FILE]

What is not there, a runtime library, a model, valgrind or the package oaq_keras, is named and left
out. Networks are certified at T = 16 first, by certified.py, where the package is there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FAULT = 2
DEPTH = 16
THREADS = (1, 2)
MODES = ("xnnpack", "oaq", "oaq+xnnpack")
COUNTED_ISA = "avx2"
"""What valgrind's CPU has."""


class PartError(Exception):
    """A part that could not be measured; says why."""


def main() -> int:
    """Measures all there is, prints tables, writes one JSON object.

    Returns:
      The exit code: 0, or 2 where what was there could not be measured.
    """
    options = _parse()
    report: dict = {"kernels": None, "networks": []}
    faults = 0
    try:
        report["kernels"] = _kernels(options)
    except PartError as error:
        faults += _missing(str(error))
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            try:
                report["networks"].append(_network(options, model, Path(folder)))
            except PartError as error:
                faults += _missing(str(error))
    if not options.models:
        print("No models given: no whole networks.\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"All figures: {options.json}")
    return FAULT if faults else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=Path, required=True, help="oaq_run_model's folder")
    parser.add_argument("--library", type=Path, help="liboaq_tflite.so (what oaq_run_model finds)")
    parser.add_argument("--runtime", default="", help="the TensorFlow Lite C library")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help=".tflite files")
    parser.add_argument("--runs", type=int, default=50, help="of a network in each mode (50)")
    parser.add_argument("--rounds", type=int, default=200, help="of the kernels (200)")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    return parser.parse_args()


def _missing(text: str) -> int:
    print(f"bench: {text}", file=sys.stderr)
    return 1


def _run(command: list[str], library: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command whose standard output is wanted; `library`: ours, for Python."""
    environment = {**os.environ, "OAQ_LIBRARY": str(library.resolve())} if library else None
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=environment
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise PartError(f"{Path(command[0]).name}: {said[-1] if said else done.returncode}")
    return done


def _kernels(options: argparse.Namespace) -> dict:
    program = str(options.programs / "oaq_bench_kernels")
    if shutil.which(program) is None:
        raise PartError(f"no program '{program}'")
    print("## Kernels\n")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernels.json"
        rounds = ["--rounds", str(options.rounds)]
        print(_run([program, "--markdown", "--json", str(out), *rounds]).stdout)
        report: dict = json.loads(out.read_text())
    return report


def _network(options: argparse.Namespace, model: Path, folder: Path) -> dict:
    if not model.is_file():
        raise PartError(f"no model '{model}'")
    print(f"## {model.stem}\n")
    package = importlib.util.find_spec("oaq_keras") is not None
    certified = _certify(model, folder) if package else model
    network: dict = {"model": model.name, "depth": DEPTH if package else None}
    if not package:
        print("Not certified, and not run in LiteRT: the package oaq_keras is not installed.\n")
    runtime = Path(options.runtime) if options.runtime else None
    if runtime is None or not runtime.is_file():
        print(
            "No TensorFlow Lite C library (--runtime; `make matrix` fetches one): no times in C.\n"
        )
        runtime = None
    network["c_runtime"] = [_in_c(options, certified, n) for n in THREADS] if runtime else None
    network["litert"] = [_in_litert(options, certified, n) for n in THREADS] if package else None
    network["instructions"] = _instructions(options, certified) if runtime else None
    return network


def _certify(model: Path, folder: Path) -> Path:
    """The network, certified at T = 16 throughout."""
    target = folder / model.name
    script = str(FOLDER / "certified.py")
    _run([sys.executable, script, str(model), str(target), "--depth", str(DEPTH)])
    return target


def _delegate(options: argparse.Namespace) -> list[str]:
    library = ["--library", str(options.library)] if options.library else []
    return ["--runtime", options.runtime, *library]


def _in_c(options: argparse.Namespace, model: Path, threads: int) -> dict:
    """One runtime for all modes."""
    command = [str(options.programs / "oaq_run_model"), *_delegate(options), "--model", str(model)]
    for mode in MODES:
        command += ["--mode", mode]
    command += ["--threads", str(threads), "--runs", str(options.runs), "--json", "-"]
    report: dict = json.loads(_run(command).stdout)
    name = f"TensorFlow Lite {report['runtime_version']} in C, {threads} thread(s)"
    _print_times(name, report["modes"])
    return report


def _in_litert(options: argparse.Namespace, model: Path, threads: int) -> dict:
    """LiteRT as it comes, with its XNNPACK, against our kernels."""
    command = [sys.executable, "-m", "oaq_keras.cli", "benchmark", str(model), "--json"]
    command += ["--threads", str(threads), "--runs", str(options.runs)]
    report: dict = json.loads(_run(command, options.library).stdout)
    name = f"LiteRT {report['versions']['LiteRT']}, {threads} thread(s)"
    _print_times(name, report["modes"])
    return report


def _print_times(name: str, modes: list[dict]) -> None:
    print(f"| {name} | median ms | quartiles ms | setup ms | {modes[0]['mode']} / mode |")
    print("|---|---:|---:|---:|---:|")
    for mode in modes:
        low, high = mode["quartiles_ms"]
        print(
            f"| {mode['mode']} | {mode['median_ms']:.3f} | {low:.3f} to {high:.3f} | "
            f"{mode['setup_ms']:.1f} | {mode['ratio']:.2f}x |"
        )
    print()


def _instructions(options: argparse.Namespace, model: Path) -> dict | None:
    if shutil.which("valgrind") is None:
        print("No valgrind: no instructions are counted.\n")
        return None
    command = [sys.executable, str(FOLDER / "count_instructions.py"), "--json"]
    command += ["--runner", str(options.programs / "oaq_run_model"), *_delegate(options)]
    command += ["--model", str(model), "--isa", COUNTED_ISA]
    for mode in MODES:
        command += ["--mode", mode]
    report: dict = json.loads(_run(command).stdout)
    first = report["modes"][0]["mode"]
    print(f"| instructions of one inference, {COUNTED_ISA} | | mode / {first} |")
    print("|---|---:|---:|")
    for row in report["modes"]:
        print(f"| {row['mode']} | {row['instructions']:,} | {row['ratio']:.3f}x |")
    print(flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
