# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""What the kernels for ARM should reach, without an ARM: `make bench-arm`.

python bench_arm.py --build build/arm/aarch64 [--runtime FILE] [--models FILE...] [--json FILE]

- Hot loops, cut from the objects that a cross-build made, timed by models of cores.
- What the assembly executes from one drain to the next, followed through its objects.
- Loops against plain ones of the same tile, 32-bit ARM included (arm_references.py).
- With --runtime, whole networks on Cortex-A53: cycles of all that one inference executes, with our
  kernels and with XNNPACK's, in the same runtime (count_cycles.py), layer by layer; and the
  instructions on Cortex-A72 (count_instructions.py).

Nothing here is a time: every table says how its figures were obtained.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import arm_blocks
import arm_loops
import arm_networks
import arm_references
import certified
import count_cycles
import count_instructions
import parts
from qemu_plugin import EmulatorError

from oaq_keras.errors import OaqError

OBJECTS = Path("tflite_kernels/CMakeFiles/oaq.dir/core")
DEPTH = 16
NEVER = 4096
"""Products of a lane that no layer has: what is certified so is not drained before its end."""
EXECUTED = (
    "cycles of all executed instructions (qemu-user) on the in-order model of Cortex-A53 "
    "(in_order.py), two inferences less one"
)
A72 = "qemu-aarch64 -cpu cortex-a72 -L /usr/aarch64-linux-gnu"
HOW = {
    "a53": "in-order model of Cortex-A53 (in_order.py)",
    "a55": "in-order model of Cortex-A55 (in_order.py)",
    "a57": "llvm-mca -mcpu=cortex-a57, which stands for A72 and A73 too",
    "networks": EXECUTED,
    "blocks": "what assembly kernels execute from drain to drain, timed as loops (arm_blocks.py)",
    "parts": "these cycles by function, and by instruction in functions that multiply (parts.py)",
    "rates": "what layers ask for, by the plan of the run, and the cycles of these layers (parts)",
    "instructions": f"executed under {A72}, two inferences less one",
}
FAULTS = (OSError, OaqError, EmulatorError, count_instructions.CountError)
CORES = ("a53", "a55", "a57")


@dataclass(frozen=True)
class Named:
    """A loop of ours, by where it is.

    Attributes:
      name: in tables.
      source: under core/; its object holds the function, whose name others may share.
      function: the symbol.
    """

    name: str
    source: str
    function: str


def _of_core(core: str) -> Named:
    kernel = f"multiply_i16_c8_4x4_{core}"
    return Named(f"int16 4x4, {core}", f"aarch64/{kernel}.S", f"oaq_{kernel}")


LOOPS = (
    Named("int16 4x4", "neon/gemm_i16_c8_4x4_neon.c", "multiply_4"),
    # In assembly.
    *(_of_core(core) for core in ("a55", "a72", "a53")),
    Named("SDOT 8x8", "neon/gemm_i32_c4_8x8_dotprod.c", "multiply_8"),
    Named("SMMLA 8x8", "neon/gemm_i32_c8_8x8_i8mm.c", "multiply_8"),
    Named("exact 4x4", "neon/gemm_i32_pairs_c8_4x4_neon.c", "multiply_4"),
    *(
        Named(
            f"depthwise {size}, stride {stride}",
            f"neon/depthwise_i16_{size}_neon.c",
            f"oaq_depthwise_i16_{size}_s{stride}_neon",
        )
        for size in ("3x3", "5x5")
        for stride in (1, 2)
    ),
    # The output stage included.
    *(
        Named(f"depthwise 3x3 into codes, stride {stride}, {core}", source, function)
        for stride in (1, 2)
        for core, source, function in (
            ("neon", "neon/depthwise_codes_3x3_neon.c", f"codes_s{stride}"),
            (
                "a53",
                f"aarch64/depthwise_codes_3x3_s{stride}.S",
                f"oaq_depthwise_codes_3x3_s{stride}",
            ),
        )
    ),
    Named("depthwise", "neon/depthwise_i16_neon.c", "oaq_depthwise_i16_neon"),
)
"""A loop that a build does not have is named and left out."""


def main() -> int:
    """Prints the tables and writes the JSON object.

    Returns:
      The exit code: 0, or 2 where a network could not be read or run.
    """
    options = _parse()
    if not (options.build / OBJECTS).is_dir():
        print(
            f"bench_arm: {options.build} is no build for 64-bit ARM: {OBJECTS} is not in it. "
            "`make arm` makes build/arm/aarch64.",
            file=sys.stderr,
        )
        return 2
    report: dict = {"how": HOW, "loops": cut(options.build, LOOPS), "networks": []}
    if report["loops"]:
        _print_loops(report["loops"])
    absent = {loop.name for loop in LOOPS} - {row["name"] for row in report["loops"]}
    if absent:
        print(f"Not in {options.build}: {'; '.join(sorted(absent))}.\n")
    report["blocks"] = arm_blocks.measure(options.build)
    if report["blocks"]:
        print(arm_blocks.table(report["blocks"]))
    faults = 0
    report["references"] = arm_references.compare(options.build.parent)
    if report["references"]:
        print(arm_references.table(report["references"]))
    if shutil.which("llvm-mca") is None:
        print("No llvm-mca (Debian: llvm): no figures for out-of-order cores.\n")
    if reason := _no_networks(options):
        print(f"No whole networks: {reason}.\n")
        faults += len(options.models)
    else:
        programs = count_cycles.Programs(options.build, options.runtime)
        for model in options.models:
            try:
                report["networks"].append(_network(programs, model))
            except FAULTS as error:
                print(f"bench_arm: {model}: {error}", file=sys.stderr)
                faults += 1
    if report["networks"]:
        _print_summary(report["networks"])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"All figures: {options.json}")
    return 2 if faults else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="of `make arm`, for aarch64")
    parser.add_argument("--runtime", type=Path, help="the TensorFlow Lite C library for aarch64")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help=".tflite files")
    parser.add_argument("--json", type=Path, default=Path("build/bench_arm.json"))
    return parser.parse_args()


def _no_networks(options: argparse.Namespace) -> str:
    if not options.models:
        return "no models given"
    if options.runtime is None:
        return "needs a TensorFlow Lite C library for aarch64: `make matrix` fetches one, by npm"
    return count_cycles.missing(count_cycles.Programs(options.build, options.runtime))


def cut(build: Path, loops: tuple[Named, ...]) -> list[dict]:
    """The loops that a build has, timed."""
    rows = []
    for named in loops:
        path = build / OBJECTS / f"{named.source}.o"
        if not path.is_file():
            continue
        code = arm_loops.disassemble(path).get(named.function, [])
        if loop := arm_loops.hot_loop(code) if code else ():
            rows.append(_timed(named, loop))
    return rows


def _timed(named: Named, loop: tuple[str, ...]) -> dict:
    cycles = arm_loops.cycles(loop)
    products = arm_loops.products(loop)
    return {
        "name": named.name,
        "object": named.source,
        "function": named.function,
        "instructions": len(loop),
        "products": products,
        "cycles": cycles,
        "mac_per_cycle": {core: products / n for core, n in cycles.items() if n},
    }


def _print_loops(rows: list[dict]) -> None:
    print("## Loops, MAC/cycle\n")
    print(f"Cut from the objects; {'; '.join(f'{core}: {HOW[core]}' for core in CORES)}.\n")
    print("| loop | instructions | MACs | a53 | a55 | a57 |")
    print("|---|--:|--:|--:|--:|--:|")
    for row in rows:
        rates = [row["mac_per_cycle"].get(core) for core in CORES]
        cells = [row["name"], row["instructions"], row["products"], *map(_cell, rates)]
        print(f"| {' | '.join(map(str, cells))} |")
    print()


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _millions(count: float) -> str:
    """Three figures, however few they are."""
    return f"{count / 1e6:.3g}" if count < 1e6 else f"{count / 1e6:.2f}"


def _network(programs: count_cycles.Programs, model: Path) -> dict:
    """Ours, the same never drained, and XNNPACK."""
    try:
        content = model.read_bytes()
    except OSError as error:
        raise EmulatorError(f"it can't be read: {error.strerror}") from error
    ours = certified.certified(content, DEPTH)
    rows = [
        _row(programs, "XNNPACK", ours, count_cycles.THEIRS),
        _row(programs, f"ours, T = {DEPTH}", ours, count_cycles.OURS),
        _row(
            programs, "ours, never drained", certified.certified(content, NEVER), count_cycles.OURS
        ),
    ]
    theirs = rows[0]
    print(f"## {model.stem}, one inference on Cortex-A53\n")
    print(f"By {EXECUTED}.\n", flush=True)
    print("| | Mcycles | M instructions | XNNPACK / it | Mcycles of layers | XNNPACK / it |")
    print("|---|--:|--:|--:|--:|--:|")
    for row in rows:
        row["ratio"] = theirs["cycles"] / row["cycles"]
        row["layers_ratio"] = theirs["layers"] / row["layers"]
        cells = [_millions(row["cycles"]), _millions(row["instructions"])]
        cells += [f"{row['ratio']:.2f}x", _millions(row["layers"])]
        print(f"| {row['name']} | {' | '.join(cells)} | {row['layers_ratio']:.2f}x |")
    for row in rows:
        _print_parts(row)
    _print_rates(rows)
    theirs_told, ours_told = rows[0]["by_layer"], rows[1]["by_layer"]
    slower = arm_networks.slower(rows[1]["layer_names"], ours_told, theirs_told)
    _print_slower(slower, told=bool(ours_told and theirs_told))
    instructions = _instructions(programs, ours)
    print(f"\nInstructions on Cortex-A72: {_millions(instructions['ours'])} M, XNNPACK's")
    print(f"{_millions(instructions['xnnpack'])} M, {instructions['ratio']:.3f}x.\n", flush=True)
    return {
        "model": model.name,
        "depth": DEPTH,
        "how": EXECUTED,
        "kernels": rows,
        "slower_than_xnnpack": slower,
        "instructions": instructions,
    }


def _row(programs: count_cycles.Programs, name: str, content: bytes, mode: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        found = count_cycles.inference(programs, path, mode)
        by_layer = count_cycles.layers(programs, path, mode, found)
        plan = count_cycles.plan(programs, path)
    layers = arm_networks.layers_of(content, plan)
    row = count_cycles.row(mode, found, num_symbols=20)
    figures = {"work": arm_networks.work(layers), "rates": arm_networks.rates(layers, by_layer)}
    names = [layer.name for layer in layers]
    return {"name": name, **row, **figures, "layer_names": names, "by_layer": by_layer}


def _instructions(programs: count_cycles.Programs, content: bytes) -> dict:
    """Of one inference on Cortex-A72, ours and XNNPACK's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        runner, *_ = programs.command(path, count_cycles.OURS, 1)
        library = str(programs.build / "tflite_kernels" / parts.OURS)
        given = ["--model", str(path), "--runtime", str(programs.runtime), "--emulator", A72]
        found = count_instructions.count([*given, "--runner", runner, "--library", library])
    theirs, ours = (row["instructions"] for row in found["modes"])
    return {"how": HOW["instructions"], "ours": ours, "xnnpack": theirs, "ratio": ours / theirs}


def _print_parts(row: dict) -> None:
    print(f"\n| {row['name']}: part | Mcycles | share |\n|---|--:|--:|")
    for part, taken in row["parts"].items():
        if taken >= row["cycles"] / 1000:
            print(f"| {part} | {_millions(taken)} | {100 * taken / row['cycles']:.1f} % |")


def _print_rates(rows: list[dict]) -> None:
    """Rates side by side, and the parts that the cycles of each are of."""
    names = list(dict.fromkeys(name for row in rows for name in row["rates"]))
    print(f"\n| rate, by layers | of | {' | '.join(row['name'] for row in rows)} | our parts |")
    print(f"|---|---|{'--:|' * len(rows)}---|")
    for name in names:
        found = [row["rates"].get(name) for row in rows]
        of = next(rate["of"] for rate in found if rate)
        counted = next((rate["parts"] for rate in found[1:] if rate), [])
        cells = [name, of, *(_cell(rate and rate["value"]) for rate in found), ", ".join(counted)]
        print(f"| {' | '.join(cells)} |")


def _print_slower(slower: list[dict], told: bool) -> None:
    if not told:
        print("\nLayers can't be told apart, so that no rates are of them.")
    elif not slower:
        print("\nNo layer is slower than XNNPACK's.")
    else:
        print("\n| slower than XNNPACK's | K cycles | XNNPACK | XNNPACK / it |\n|---|--:|--:|--:|")
    for row in slower:
        cells = [row["layer"], f"{row['ours'] / 1e3:.1f}", f"{row['theirs'] / 1e3:.1f}"]
        print(f"| {' | '.join(cells)} | {row['ratio']:.2f}x |")


def _print_summary(networks: list[dict]) -> None:
    print(f"## XNNPACK's cycles by ours, Cortex-A53 model, T = {DEPTH}\n")
    heads = "network | XNNPACK, Mcycles | ours | ratio | never drained | layers alone"
    print(f"| {heads} | instructions, A72 |\n|---|--:|--:|--:|--:|--:|--:|")
    for network in networks:
        theirs, ours, never = network["kernels"]
        cells = [_millions(theirs["cycles"]), _millions(ours["cycles"])]
        cells += [f"{value:.2f}x" for value in (ours["ratio"], never["ratio"])]
        cells += [f"{ours['layers_ratio']:.2f}x", f"{network['instructions']['ratio']:.3f}x"]
        print(f"| {network['model']} | {' | '.join(cells)} |")
    print("\nLayers alone: convolutions, depthwise and dense ones, and what prepares their rows;")
    print(f"of XNNPACK, its kernels for them: {parts.THEIR_DENSE}, {parts.THEIR_DEPTHWISE}.\n")


if __name__ == "__main__":
    sys.exit(main())
