# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Cycles of one inference on a model of Cortex-A53, by the part of the work and by function.

python count_cycles.py --build build/arm/aarch64 --runtime libtensorflowlite_c.so --model FILE
[--mode MODE]... [--symbols 20] [--layers]

`--build` holds the library and the programs that `make arm` makes, `--runtime` is TensorFlow Lite's
C library for aarch64. All that oaq_run_model executes under qemu-user is issued on the in-order
model of in_order.py; the difference between a run of two inferences and a run of one is one
inference. Caches answer at once and branches are predicted: no figure is a time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cycles
import emulated_a53
import layer_cycles
import parts
import qemu_plugin
import symbols
from in_order import CORES
from qemu_plugin import EmulatorError
from symbols import Place

from oaq_keras.flatbuffer import read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.plan import Plan

OURS = "oaq+xnnpack"
THEIRS = "xnnpack"


@dataclass(frozen=True)
class Programs:
    """What runs an inference, built for aarch64.

    Attributes:
      build: the folder of `make arm`, with the library and oaq_run_model.
      runtime: the TensorFlow Lite C library.
      isa: kernels of our delegate.
      plan: of our delegate.
    """

    build: Path
    runtime: Path
    isa: str = "a53"
    plan: str = "auto"

    def command(self, model: Path, mode: str, runs: int) -> list[str]:
        """The program's arguments for some inferences."""
        kernels = self.build / "tflite_kernels"
        files = ["--runtime", str(self.runtime), "--library", str(kernels / parts.OURS)]
        chosen = ["--mode", mode, "--isa", self.isa, "--plan", self.plan]
        program = [str(kernels / "bench" / "oaq_run_model"), "--model", str(model)]
        return [*program, *files, *chosen, "--warmup", "0", "--runs", str(runs)]


_NEEDED = {
    "qemu-aarch64": "qemu-user",
    "aarch64-linux-gnu-objdump": "binutils-aarch64-linux-gnu",
    "nm": "binutils",
    "readelf": "binutils",
}


def missing(programs: Programs) -> str:
    """Why nothing can be counted here; empty where it can."""
    for program, package in _NEEDED.items():
        if shutil.which(program) is None:
            return f"needs {program} (Debian: {package})"
    if not programs.runtime.is_file():
        return f"needs {programs.runtime} (`make matrix` fetches one, by npm)"
    program = programs.command(Path(), OURS, 1)[0]
    if not Path(program).is_file():
        return f"needs {program} (`make arm` makes it, in build/arm/aarch64)"
    return ""


def inference(programs: Programs, model: Path, mode: str) -> cycles.Executed:
    """What one inference executes on Cortex-A53.

    Raises:
      EmulatorError: the program fails, or can't be run.
    """
    twice, once = (_executed(programs.command(model, mode, runs), None) for runs in (2, 1))
    return twice[0] - once[0]


def layers(
    programs: Programs, model: Path, mode: str, found: cycles.Executed
) -> list[dict[str, int]]:
    """Cycles of one inference, of each layer by part; empty where they can't be told apart.

    Raises:
      EmulatorError: the program fails, or can't be run.
    """
    num_layers = len(int8_layers(read_model(model.read_bytes()))[0])
    command = programs.command(model, mode, layer_cycles.INFERENCES)
    rows = layer_cycles.by_layer(
        found, num_layers, mode == OURS, lambda place: _executed(command, place)
    )
    return [dict(row) for row in rows]


def _executed(command: Sequence[str], mark: Place | None) -> list[cycles.Executed]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        emulator = emulated_a53.emulator(root)
        plugin = cycles.build_plugin(Path(folder))
        return cycles.pieces(emulator, command, CORES["a53"], plugin, mark)


def plan(programs: Programs, model: Path) -> Plan:
    """What our delegate decides for the model on the emulated core.

    Raises:
      EmulatorError: the program fails, or can't be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        report = Path(folder) / "report"
        command = [*programs.command(model, OURS, 1), "--json", str(report)]
        qemu_plugin.execute([*emulated_a53.emulator(root), *command])
        (mode,) = json.loads(report.read_text())["modes"]
        return Plan.from_json(json.dumps(mode["plan"]))


def row(mode: str, found: cycles.Executed, num_symbols: int) -> dict:
    """An inference's figures, for tables and JSON."""
    by_part = parts.by_part(found)
    taken = symbols.by_function(found.cycles, found.entries)
    counts = symbols.by_function(found.counts, found.entries)
    return {
        "mode": mode,
        "cycles": sum(found.cycles.values()),
        "instructions": sum(found.counts.values()),
        "layers": sum(by_part[part] for part in parts.LAYERS),
        "parts": {part: n for part, n in by_part.most_common() if n},
        "functions": [
            {"file": Path(path).name, "name": name, "cycles": n, "instructions": counts[path, name]}
            for (path, name), n in taken.most_common(num_symbols)
        ],
    }


def print_layers(model: Path, rows: Sequence[dict]) -> None:
    """Layers of several modes side by side; of the first one, the parts."""
    told = [row for row in rows if row["by_layer"]]
    for row in rows:
        if not row["by_layer"]:
            print(f"{row['mode']}: layers can't be told apart\n")
    if not told:
        return
    names = [part for part in parts.LAYERS if any(part in layer for layer in told[0]["by_layer"])]
    heads = [*(row["mode"] for row in told), *(f"{told[0]['mode']}: {name}" for name in names)]
    print(f"| K cycles of a layer | outputs | K | {' | '.join(heads)} |")
    print(f"|---|--:|--:|{'--:|' * len(heads)}")
    for at, layer in enumerate(int8_layers(read_model(model.read_bytes()))[0]):
        figures = [sum(row["by_layer"][at].values()) for row in told]
        figures += [told[0]["by_layer"][at].get(name, 0) for name in names]
        cells = [f"{layer.op} {layer.kind}", str(layer.macs // layer.products)]
        cells += [str(layer.products), *(f"{figure / 1e3:.1f}" for figure in figures)]
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def print_row(found: dict) -> None:
    """An inference's figures."""
    total = found["cycles"]
    print(f"{found['mode']}: {total:,} cycles, {found['instructions']:,} instructions\n")
    print("| part | cycles | share |\n|---|--:|--:|")
    for name, taken in found["parts"].items():
        print(f"| {name} | {taken:,} | {100 * taken / total:.1f} % |")
    if found["functions"]:
        print("\n| function | cycles | share | instructions |\n|---|--:|--:|--:|")
    for function in found["functions"]:
        cells = [f"{function['cycles']:,}", f"{100 * function['cycles'] / total:.1f} %"]
        cells.append(f"{function['instructions']:,}")
        print(f"| {function['name'] or '?'} ({function['file']}) | {' | '.join(cells)} |")
    print(flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
      The exit code: 0, or 2 where something could not be counted.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, required=True, help="a .tflite file")
    parser.add_argument("--build", type=Path, required=True, help="of `make arm`, for aarch64")
    parser.add_argument("--runtime", type=Path, required=True, help="the TensorFlow Lite C library")
    parser.add_argument(
        "--mode", action="append", help=f"as in oaq_run_model; several ({OURS} and {THEIRS})"
    )
    parser.add_argument("--isa", default="a53", help="kernels of our delegate")
    parser.add_argument("--plan", default="auto", help="plan of our delegate")
    parser.add_argument("--symbols", type=int, default=0, help="how many functions to list")
    parser.add_argument("--layers", action="store_true", help="layer by layer, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    programs = Programs(given.build, given.runtime, given.isa, given.plan)
    rows: list[dict] = []
    try:
        if reason := missing(programs):
            raise EmulatorError(reason)
        for mode in given.mode or [OURS, THEIRS]:
            found = inference(programs, given.model, mode)
            rows.append(row(mode, found, given.symbols))
            if given.layers:
                rows[-1]["by_layer"] = layers(programs, given.model, mode, found)
            if not given.json:
                print_row(rows[-1])
        if not given.json and len(rows) > 1:
            ratio = rows[-1]["cycles"] / rows[0]["cycles"]
            print(f"{rows[-1]['mode']} / {rows[0]['mode']}: {ratio:.2f}x\n")
        if given.layers and not given.json:
            print_layers(given.model, rows)
    except EmulatorError as error:
        print(f"count_cycles: {error}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
