# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Counts the instructions of one inference of oaq_run_model, mode by mode.

python count_instructions.py --runner oaq_run_model --runtime libtensorflowlite_c.so --model FILE
[--mode MODE]... [--emulator "qemu-aarch64 -cpu cortex-a72 -L /usr/aarch64-linux-gnu"]

A count depends on the machine's load in nothing, unlike a time. It is the difference between a run
of two inferences and a run of one, so that setting up cancels out. By itself the program runs under
valgrind's callgrind, whose CPU has AVX2 and no AVX-512: kernels that choose by CPUID take their
AVX2 paths. With --emulator, a dynamically linked qemu-user with all it needs to run a program, the
counts come from qemu/count.c, by library too, with ARM's vector multiplications apart.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import qemu_plugin
import symbols
from qemu_plugin import EmulatorError

FAULT = 2


class CountError(Exception):
    """A run that could not be counted; says what to do."""


@dataclass
class Executed:
    """Instructions that a run executed.

    Attributes:
      total: all of them.
      places: under an emulator, by file and offset in it.
      multiplies: of these, ARM's vector multiplications.
    """

    total: int
    places: Counter[tuple[str, int]] = field(default_factory=Counter)
    multiplies: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __sub__(self, other: Executed) -> Executed:
        places, multiplies = Counter(self.places), Counter(self.multiplies)
        # What printing the times takes differs from run to run, and may become negative.
        places.subtract(other.places)
        multiplies.subtract(other.multiplies)
        return Executed(self.total - other.total, places, multiplies)


def main() -> int:
    """Runs the command.

    Returns:
      The exit code: 0, or 2 where something could not be counted.
    """
    options = _parse(None)
    try:
        report = _report(options)
    except (CountError, EmulatorError) as error:
        print(f"count_instructions: {error}", file=sys.stderr)
        return FAULT
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    _print(report)
    return 0


def count(arguments: Sequence[str]) -> dict:
    """The report that the command would print as JSON.

    Raises:
      CountError: a run could not be counted.
      EmulatorError: the emulator can't be run.
    """
    return _report(_parse(arguments))


def _print(report: dict) -> None:
    first = report["modes"][0]
    where = f", {report['emulator']}" if report["emulator"] else ""
    name = Path(report["model"]).name
    print(f"instructions of one inference of {name}, {report['threads']} thread(s){where}")
    print(f"{'mode':12}  {'instructions':>16}  {'mode / ' + first['mode']:>18}")
    for row in report["modes"]:
        print(f"{row['mode']:12}  {row['instructions']:16,}  {row['ratio']:17.3f}x")
    for row in report["modes"]:
        if not report["emulator"]:
            break
        print(f"\n{row['mode']}: {row['vector_multiplies']:,} vector multiplications")
        for label in ("libraries", "symbols"):
            for name, count in row[label].items():
                print(f"{count:16,}  {name}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a .tflite file")
    parser.add_argument("--runtime", required=True, help="the TensorFlow Lite C library")
    parser.add_argument("--library", help="liboaq_tflite.so (what oaq_run_model finds)")
    parser.add_argument("--runner", default="oaq_run_model", help="the program oaq_run_model")
    parser.add_argument(
        "--mode",
        action="append",
        help="as in oaq_run_model; several are compared (xnnpack, oaq+xnnpack)",
    )
    parser.add_argument("--isa", default="auto", help="kernels of our delegate")
    parser.add_argument("--plan", default="auto", help="plan of our delegate")
    parser.add_argument("--threads", type=int, default=1, help="their instructions are added up")
    parser.add_argument("--emulator", default="", help="qemu-user and its options")
    parser.add_argument(
        "--symbols", type=int, default=0, help="how many functions to list, under the emulator"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def _report(options: argparse.Namespace) -> dict:
    emulator = shlex.split(options.emulator)
    if emulator and options.threads != 1:
        raise CountError("an emulated program is counted on one thread")
    for program in (emulator[0] if emulator else "valgrind", options.runner):
        if shutil.which(program) is None and not (emulator and Path(program).is_file()):
            raise CountError(f"{program!r} is no program that runs here; install or build it")
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        count = _callgrind
        if emulator:
            qemu_plugin.build(Path(folder), "count.c", "places.c")
            count = _emulated
        for mode in options.mode or ["xnnpack", "oaq+xnnpack"]:
            twice, once = (count(options, mode, runs, Path(folder)) for runs in (2, 1))
            rows.append(_row(options, mode, twice - once, rows[0] if rows else None))
    return {
        "model": str(options.model),
        "emulator": options.emulator,
        "isa": options.isa,
        "plan": options.plan,
        "threads": options.threads,
        "modes": rows,
    }


def _row(options: argparse.Namespace, mode: str, found: Executed, first: dict | None) -> dict:
    ratio = found.total / first["instructions"] if first else 1.0
    row = {"mode": mode, "instructions": found.total, "ratio": ratio}
    if not options.emulator:
        return row
    libraries: Counter[str] = Counter()
    for (path, _), count in found.places.items():
        libraries[Path(path).name] += count
    row["vector_multiplies"] = sum(found.multiplies.values())
    row["libraries"] = {name: n for name, n in libraries.most_common() if n}
    by_function = symbols.by_function(found.places)
    row["symbols"] = {
        f"{name or 'no symbol'} ({Path(path).name})": count
        for (path, name), count in by_function.most_common(options.symbols)
    }
    return row


def _runner(options: argparse.Namespace, mode: str, runs: int) -> list[str]:
    command = [options.runner]
    command += ["--model", str(options.model), "--runtime", options.runtime, "--mode", mode]
    command += ["--isa", options.isa, "--plan", options.plan, "--warmup", "0"]
    command += ["--threads", str(options.threads), "--runs", str(runs)]
    return command + (["--library", options.library] if options.library else [])


def _run(mode: str, command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode != 0:
        # Valgrind begins its own lines with the process's number between ==.
        said = [line for line in run.stderr.splitlines() if line and not line.startswith("==")]
        raise CountError(f"mode {mode}: {'; '.join(said) or f'exit {run.returncode}'}")


def _callgrind(options: argparse.Namespace, mode: str, runs: int, folder: Path) -> Executed:
    """Instructions of the whole program on this machine's kind of CPU."""
    out = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    _run(mode, [*command, *_runner(options, mode, runs)])
    for line in out.read_text(errors="replace").splitlines():
        if line.startswith(("summary:", "totals:")):
            return Executed(int(line.split()[1]))
    raise CountError(f"mode {mode}: callgrind wrote no total")


def _emulated(options: argparse.Namespace, mode: str, runs: int, folder: Path) -> Executed:
    """Instructions of the whole program under qemu."""
    emulator, program = shlex.split(options.emulator), _runner(options, mode, runs)
    files: dict[str, str] = {}
    found = Executed(0)
    for line in qemu_plugin.run(emulator, str(folder / "count.so"), program):
        what, number, *rest = line.split(" ", 3)
        if what == "file":
            files[number] = " ".join(rest)
        elif what == "at":
            offset, (count, kind) = int(rest[0]), rest[1].split()
            at = (files[number], offset)
            found.total += int(count)
            found.places[at] += int(count)
            if kind == "m":
                found.multiplies[at] += int(count)
    if not found.total:
        raise CountError(f"mode {mode}: {options.emulator.split()[0]} counted nothing")
    return found


if __name__ == "__main__":
    sys.exit(main())
