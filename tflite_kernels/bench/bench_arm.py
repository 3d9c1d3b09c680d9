# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""What the kernels for ARM should reach, without an ARM: `make bench-arm`.

python bench_arm.py --build build/arm/aarch64 [--runtime FILE] [--models FILE...] [--json FILE]

- Hot loops, cut from the objects that a cross-build made, timed by models of cores.
- The same against plain loops of the same tile, 32-bit ARM included (arm_references.py).
- With --runtime, whole networks on Cortex-A53: cycles of all that one inference executes, with our
  kernels and with XNNPACK's, in the same runtime (count_cycles.py).

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

import arm_loops
import arm_networks
import arm_references
import certified
import count_cycles
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
HOW = {
    "a53": "in-order model of Cortex-A53 (in_order.py)",
    "a55": "in-order model of Cortex-A55 (in_order.py)",
    "a57": "llvm-mca -mcpu=cortex-a57, which stands for A72 and A73 too",
    "networks": EXECUTED,
    "parts": "these cycles by function, and by instruction in functions that multiply (parts.py)",
    "rates": "what the layers ask for, by the plan of the run, and the cycles of their part",
}
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
            except (OSError, OaqError, EmulatorError) as error:
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
    print(flush=True)
    return {"model": model.name, "depth": DEPTH, "how": EXECUTED, "kernels": rows}


def _row(programs: count_cycles.Programs, name: str, content: bytes, mode: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        found = count_cycles.inference(programs, path, mode)
        plan = count_cycles.plan(programs, path)
    work = arm_networks.Work.of(content, plan)
    row = count_cycles.row(mode, found, num_symbols=20)
    return {"name": name, **row, "work": vars(work), "rates": work.rates(row["parts"])}


def _print_parts(row: dict) -> None:
    print(f"\n| {row['name']}: part | Mcycles | share | reaches |\n|---|--:|--:|--:|")
    for part, taken in row["parts"].items():
        if taken < row["cycles"] / 1000:
            continue
        rate = row["rates"].get(part)
        reaches = f"{rate['value']:.2f} {rate['of']}" if rate else ""
        print(f"| {part} | {_millions(taken)} | {100 * taken / row['cycles']:.1f} % | {reaches} |")


def _print_summary(networks: list[dict]) -> None:
    print(f"## XNNPACK's cycles by ours, Cortex-A53 model, T = {DEPTH}\n")
    print("| network | XNNPACK, Mcycles | ours | ratio | never drained | layers alone |")
    print("|---|--:|--:|--:|--:|--:|")
    for network in networks:
        theirs, ours, never = network["kernels"]
        cells = [_millions(theirs["cycles"]), _millions(ours["cycles"])]
        cells += [f"{value:.2f}x" for value in (ours["ratio"], never["ratio"])]
        print(f"| {network['model']} | {' | '.join(cells)} | {ours['layers_ratio']:.2f}x |")
    print("\nLayers alone: convolutions, depthwise and dense ones, and what prepares their rows;")
    print(f"of XNNPACK, its kernels for them: {parts.THEIR_DENSE}, {parts.THEIR_DEPTHWISE}.\n")


if __name__ == "__main__":
    sys.exit(main())
