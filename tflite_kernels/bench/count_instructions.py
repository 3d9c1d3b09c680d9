# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Counts the instructions of one inference: oaq_run_model under valgrind's callgrind, mode by mode.

python count_instructions.py --runner oaq_run_model --runtime libtensorflowlite_c.so --model FILE
[--mode MODE]... A count depends on the machine's load in nothing, unlike a time. It is the
difference between a run of two inferences and a run of one, so that setting up cancels out.
Valgrind's CPU has AVX2 and no AVX-512: kernels that choose by CPUID take their AVX2 paths.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FAULT = 2


class CountError(Exception):
    """A run that could not be counted; says what to do."""


def main() -> int:
    """Runs the command.

    Returns:
      The exit code: 0, or 2 where something could not be counted.
    """
    options = _parse()
    try:
        report = _report(options)
    except CountError as error:
        print(f"count_instructions: {error}", file=sys.stderr)
        return FAULT
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    first = report["modes"][0]
    print(f"instructions of one inference of {options.model.name}, {options.threads} thread(s)")
    print(f"{'mode':12}  {'instructions':>16}  {'mode / ' + first['mode']:>18}")
    for row in report["modes"]:
        print(f"{row['mode']:12}  {row['instructions']:16,}  {row['ratio']:17.3f}x")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a .tflite file")
    parser.add_argument("--runtime", required=True, help="the TensorFlow Lite C library")
    parser.add_argument("--library", help="liboaq_tflite.so (what oaq_run_model finds)")
    parser.add_argument("--runner", default="oaq_run_model", help="the program oaq_run_model")
    parser.add_argument(
        "--mode", action="append", help="as in oaq_run_model; several are compared (xnnpack, oaq)"
    )
    parser.add_argument("--isa", default="auto", help="kernels of our delegate")
    parser.add_argument("--plan", default="auto", help="plan of our delegate")
    parser.add_argument("--threads", type=int, default=1, help="their instructions are added up")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _report(options: argparse.Namespace) -> dict:
    for program in ("valgrind", options.runner):
        if shutil.which(program) is None:
            raise CountError(f"{program!r} is no program that runs here; install or build it")
    modes = options.mode or ["xnnpack", "oaq"]
    counts = [_executed(options, mode, 2) - _executed(options, mode, 1) for mode in modes]
    rows = [
        {"mode": mode, "instructions": count, "ratio": count / counts[0]}
        for mode, count in zip(modes, counts, strict=True)
    ]
    return {
        "model": str(options.model),
        "isa": options.isa,
        "plan": options.plan,
        "threads": options.threads,
        "modes": rows,
    }


def _executed(options: argparse.Namespace, mode: str, runs: int) -> int:
    """Instructions of the whole program."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", options.runner]
        command += ["--model", str(options.model), "--runtime", options.runtime, "--mode", mode]
        command += ["--isa", options.isa, "--plan", options.plan, "--warmup", "0"]
        command += ["--threads", str(options.threads), "--runs", str(runs)]
        command += ["--library", options.library] if options.library else []
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if run.returncode != 0:
            # Valgrind begins its own lines with the process's number between ==.
            said = [line for line in run.stderr.splitlines() if line and not line.startswith("==")]
            raise CountError(f"mode {mode}: {'; '.join(said) or f'exit {run.returncode}'}")
        for line in out.read_text(errors="replace").splitlines():
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise CountError(f"mode {mode}: callgrind wrote no total")


if __name__ == "__main__":
    sys.exit(main())
