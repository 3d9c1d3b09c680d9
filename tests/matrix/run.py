# SPDX-License-Identifier: Apache-2.0

"""Every runtime and machine x {custom, builtin} x {1, 2, 8 threads}: prints the table, exits 1 on a
hole.

A hole is a cell with another result than the reference's, or with a layer that our delegate left to
the runtime, whose result would be equal all the same.

python -m tests.matrix.run [--cache DIR]. What a runtime needs is fetched into the cache once:
tflite-runtime 2.14 with the numpy it was built for, in an environment of its own, and the TFLite
2.9 C library of the npm package tfjs-tflite-node 0.0.2; official headers for tests/test_abi.py too.
ARM is emulated with what `make arm-build` and `make arm-fetch` left; what is missing is named.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oaq_keras import library
from oaq_keras.custom_ops import BUILTIN_TO_CUSTOM
from oaq_keras.flatbuffer import kind, read_model
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.tables import format_table
from tests.arm import emulated, oaq_arm
from tests.isas import available_isas
from tests.matrix import fetch
from tests.models import (
    requantizing_network,
    small_network,
    threaded_network,
    upsampling_network,
)

THREADS = (1, 2, 8)
NETWORKS = (small_network, upsampling_network, threaded_network, requantizing_network)
HERE = Path(__file__).resolve().parent
# Runtimes that `make arm-fetch` keeps apart.
_APART = (
    ("tf.lite", "tf.lite", "tensorflow"),
    ("tflite-runtime 2.14", "tflite-runtime", "tflite-runtime"),
)


@dataclass(frozen=True)
class Runtime:
    """A runtime: how its table rows are headed, what runs it, and ways beside the delegate."""

    label: str
    name: str
    python: tuple[str, ...]
    c_library: str = ""
    registers_by: str = ""
    machine: str = platform.machine()
    library: str = ""
    isa: str = ""

    @property
    def missing(self) -> bool:
        """Whether it could not be fetched."""
        return not self.python or (self.name == "c" and not self.c_library)

    def ways(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Form of the operators, how they come in, numbers of threads."""
        ways = [("builtin", "delegate", THREADS), ("custom", "delegate", THREADS)]
        # Without a delegate there is no pool of threads.
        return ways + ([("custom", self.registers_by, (1,))] if self.registers_by else [])


def main() -> int:
    """Runs the matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("build/matrix"))
    parser.add_argument("--require-arm", action="store_true", help="without ARM it is a hole")
    given = parser.parse_args()
    cache = given.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    fetch.headers(cache)
    c_library = fetch.c_library(cache)
    here, old = (sys.executable,), fetch.old_python(cache)
    runtimes = [
        Runtime("LiteRT", "litert", here),
        Runtime("tf.lite", "tf.lite", here, registers_by="AddCustom"),
        Runtime("tflite-runtime 2.14", "tflite-runtime", (old,) if old else (), "", "AddCustom"),
        Runtime("TFLite C 2.9", "c", here, c_library, "AddCustomOp"),
        *on_arm(cache),
    ]
    rows: list[list[str]] = []
    machines = {runtime.machine for runtime in runtimes}
    holes = sum(t.name not in machines for t in oaq_arm.TARGETS) if given.require_arm else 0
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder))
        stock = [job(runtimes[0], "builtin", "none", 1, files[make.__name__]) for make in NETWORKS]
        expected = answers(folder, runtimes[0], stock)
        for runtime in runtimes:
            made = [
                job(runtime, form, way, threads, files[make.__name__])
                for form, way, counts in runtime.ways()
                for threads in counts
                for make in NETWORKS
            ]
            found = iter(answers(folder, runtime, made))
            for form, way, counts in runtime.ways():
                cells = [cell(expected, [next(found) for _ in NETWORKS]) for _ in counts]
                holes += sum(text != "equal" for text in cells)
                left_out = "-" * (len(THREADS) - len(cells))
                rows.append([runtime.label, runtime.machine, form, way, *cells, *left_out])
    headings = ["runtime", "machine", "ops", "by", *(f"{threads} threads" for threads in THREADS)]
    print(format_table(headings, rows))
    names = ", ".join(make.__name__ for make in NETWORKS)
    print(f"{names}; expected: BUILTIN_REF of LiteRT on the builtin file; {holes} holes")
    return 1 if holes else 0


def write_files(folder: Path) -> dict[str, dict[str, str]]:
    """The networks in both forms, with an image each."""
    files = {}
    for make in NETWORKS:
        name, content = make.__name__, make(15)
        shape = read_model(content).subgraphs[0].tensors[0].shape
        np.save(folder / f"{name}.npy", np.random.default_rng(1).integers(-128, 128, shape, "i1"))
        files[name] = {"image": str(folder / f"{name}.npy")}
        for form, data in (("builtin", content), ("custom", to_custom_ops(content))):
            path = folder / f"{name}_{form}.tflite"
            path.write_bytes(data)
            files[name][form] = str(path)
    return files


def on_arm(cache: Path) -> list[Runtime]:
    """The runtimes of emulated machines, as far as they are here."""
    runtimes = []
    for target in oaq_arm.TARGETS:
        place, library = emulated.Place(target), target.folder / oaq_arm.LIBRARY
        reason = oaq_arm.missing(target)
        if not reason and not (place.stamp.is_file() and library.is_file()):
            reason = "needs `make arm-build` and `make arm-fetch`"
        if reason:
            print(f"{target.name} is left out: {reason}")
            continue
        common = {"machine": target.name, "library": str(library), "isa": "neon"}
        python = tuple(emulated.python(target, target.cpus[0]))
        if target.name == "armv7":
            label = "tflite-runtime 2.14"
            runtimes.append(Runtime(label, "tflite-runtime", python, "", "AddCustom", **common))
            continue
        runtimes.append(Runtime("LiteRT", "litert", python, **common))
        for label, name, package in _APART:
            (folder,) = sorted(place.packages("").glob(f"{package}==*"))[-1:] or (None,)
            command = emulated.python(target, target.cpus[0], more_packages=folder)
            runtimes.append(Runtime(label, name, tuple(command), "", "AddCustom", **common))
        stock = fetch.c_library(cache, target.name)
        runtimes.append(Runtime("TFLite C 2.9", "c", python, stock, "AddCustomOp", **common))
    return runtimes


def job(
    runtime: Runtime, form: str, way: str, threads: int, files: dict[str, str]
) -> dict[str, Any]:
    """What answer.py is to run."""
    isa = runtime.isa or best_isa()
    options = {"builtin": "1", "plan": "int16", "isa": isa, "num_threads": str(threads)}
    return {"model": files[form], "image": files["image"], "way": way, "options": options}


def best_isa() -> str:
    """The best of this machine's kernels that sum in int16."""
    isas = available_isas(str(library.library_path()))
    return [name for name in isas if name in ("scalar", "sse41", "avx2", "avx512bw", "neon")][-1]


def answers(folder: str, runtime: Runtime, jobs: list[dict[str, Any]]) -> list[Any]:
    """What answer.py says of each job, or a word of what went wrong."""
    if runtime.missing:
        return ["missing"] * len(jobs)
    path = Path(folder) / "jobs.json"
    task = {
        "runtime": runtime.name,
        "c_library": runtime.c_library,
        "library": runtime.library or str(library.library_path()),
        "jobs": jobs,
    }
    path.write_text(json.dumps(task))
    command = [*runtime.python, str(HERE / "answer.py"), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    last = (run.stderr.strip().splitlines() or [f"exit {run.returncode}"])[-1]
    return lines + [last] * (len(jobs) - len(lines))


def cell(expected: list[Any], found: list[Any]) -> str:
    """What the table says of the networks in one way."""
    for make, wanted, given in zip(NETWORKS, expected, found, strict=True):
        if not isinstance(given, dict) or not isinstance(wanted, dict):
            return f"{make.__name__}: {str(given)[:60]}"
        if given["codes"] != wanted["codes"]:
            return f"{make.__name__}: differs"
        left = [] if given["plan"] is None else left_to_the_runtime(make(15), given["plan"])
        if left:
            return f"{make.__name__}: not as planned: {', '.join(left)}"
    return "equal"


def left_to_the_runtime(content: bytes, plan: list[dict[str, Any]]) -> list[str]:
    """Layers that a plan does not have in int16, QUANTIZE that it does not look up.

    Files of both forms number operators alike.
    """
    model = read_model(content)
    kinds = [kind(model, operator) for operator in model.subgraphs[0].operators]
    runs = {entry["op"]: entry["runs"] for entry in plan}
    wanted = {**dict.fromkeys(BUILTIN_TO_CUSTOM, "int16"), "QUANTIZE": "table"}
    return [
        f"{name} {op}"
        for op, name in enumerate(kinds)
        if name in wanted and runs.get(op) != wanted[name]
    ]


if __name__ == "__main__":
    sys.exit(main())
