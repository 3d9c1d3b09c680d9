# SPDX-License-Identifier: Apache-2.0
"""Speed of the files of docs/results.json against XNNPACK, without a clock.

    python -m results.speed [--only camvid] [--runtimes build/matrix/package/cc_deps]

Cycles are of the model of Cortex-A53 (tflite_kernels/bench/bench_arm.py), instructions of a CPU
with AVX2 (count_instructions.py); both sides in the same runtime. It needs `make arm-build`, what
`make matrix` fetches, qemu-user, valgrind, and the files that `python -m results.tasks` made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, "examples")  # its helpers are copied by users, not installed

from helpers.results import written

from oaq_keras.flatbuffer import read_model, write_model
from oaq_keras.verification_file import OURS, kind_of
from results.tasks import FOLDER

ROWS = Path("docs/results.json")
BENCH = Path("tflite_kernels/bench")
KERNELS = Path("build/kernels/tflite_kernels")
ARM = Path("build/arm/aarch64")
LIBRARY = Path("oaq_keras/lib/liboaq_tflite.so")
DEPTH = 16
# TensorFlow Lite 2.9's delegate does, where a RESHAPE follows what it has taken of a MEAN.
_REFUSAL = "mode xnnpack: the runtime refuses"
_RATES = {
    "a53_dense": "dense, with rows and driver",
    "a53_depthwise": "depthwise, with rows and driver",
}


def main() -> int:
    """Adds what is missing to the rows.

    Returns:
      The exit code: how many files could not be measured.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="tasks whose name holds this")
    parser.add_argument("--runtimes", type=Path, default=Path("build/matrix/package/cc_deps"))
    options = parser.parse_args()
    files = {sha256(f.read_bytes()).hexdigest(): f for f in FOLDER.glob("*/ours.tflite")}
    failed = 0
    for row in json.loads(ROWS.read_text()).values():
        if "speed" in row or options.only not in row["task"]:
            continue
        file = files.get(row.get("digest", ""))
        if file is None:
            print(f"{row['task']}: its file is not in {FOLDER}; results.tasks makes it.")
            failed += 1
            continue
        print(f"{row['task']} ...", flush=True)
        try:
            written({**row, "speed": measured(file, options.runtimes)})
        except subprocess.CalledProcessError as error:
            print(f"{row['task']}: {' '.join(error.cmd)} failed:\n{error.stderr[-2000:]}")
            failed += 1
    return failed


def measured(file: Path, runtimes: Path) -> dict[str, float]:
    """All figures of a file; of it up to its last layer where XNNPACK refuses what follows.

    Raises:
      subprocess.CalledProcessError: a program failed.
    """
    try:
        return cycles(file, runtimes) | instructions(file, runtimes)
    except subprocess.CalledProcessError as error:
        if _REFUSAL not in error.stderr:
            raise
    with tempfile.TemporaryDirectory() as folder:
        cut = Path(folder) / "cut.tflite"
        cut.write_bytes(up_to_last_layer(file.read_bytes()))
        return cycles(cut, runtimes) | instructions(cut, runtimes)


def up_to_last_layer(content: bytes) -> bytes:
    """The file without the operators behind its last Oaq operator, whose output becomes its own."""
    model = read_model(content)
    graph = model.subgraphs[0]
    last = max(op for op, each in enumerate(graph.operators) if kind_of(model, each) in OURS)
    del graph.operators[last + 1 :]
    graph.outputs = graph.operators[last].outputs
    model.signatureDefs = None
    return write_model(model)


def cycles(file: Path, runtimes: Path) -> dict[str, float]:
    """XNNPACK's cycles by ours on the model of Cortex-A53, of all and by kind of layer."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        runtime = runtimes / "linux_arm64" / "libtensorflowlite_c.so"
        _run(
            "bench_arm.py", "--build", ARM, "--runtime", runtime, "--json", found, "--models", file
        )
        (network,) = json.loads(found.read_text())["networks"]
    theirs, ours, _ = network["kernels"]
    speed = {"a53": ours["ratio"], "a53_layers": ours["layers_ratio"]}
    for name, rate in _RATES.items():
        if rate in theirs["rates"] and rate in ours["rates"]:
            speed[name] = ours["rates"][rate]["value"] / theirs["rates"][rate]["value"]
    return speed


def instructions(file: Path, runtimes: Path) -> dict[str, float]:
    """Our instructions by XNNPACK's, with AVX2, XNNPACK taking what is left to the runtime."""
    with tempfile.TemporaryDirectory() as folder:
        builtin = Path(folder) / "builtin.tflite"
        _run("certified.py", file, builtin, "--depth", DEPTH)
        runtime = runtimes / "linux_amd64" / "libtensorflowlite_c.so"
        runner = KERNELS / "bench" / "oaq_run_model"
        given = ["--json", "--runner", runner, "--runtime", runtime, "--library", LIBRARY]
        modes = ["--mode", "xnnpack", "--mode", "oaq+xnnpack", "--isa", "avx2"]
        said = _run("count_instructions.py", *given, "--model", builtin, *modes)
    return {"avx2_instructions": json.loads(said)["modes"][1]["ratio"]}


def _run(script: str, *arguments: Any) -> str:
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
