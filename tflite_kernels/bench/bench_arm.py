# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""What the kernels for ARM should reach, without an ARM: `make bench-arm`.

python bench_arm.py --build build/arm/aarch64 [--runtime FILE] [--models FILE...] [--json FILE]

- Hot loops, cut from the objects that a cross-build made, timed by models of cores.
- The same against plain loops of the same tile, 32-bit ARM included (arm_references.py).
- Whole networks, put together from these loops (arm_networks.py), against XNNPACK.
- Executed instructions of whole networks under qemu (count_instructions.py), with --runtime.

Nothing here is a time: every table says how its figures were obtained.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import arm_loops
import arm_networks
import arm_references
import certified

from oaq_keras.errors import OaqError

FOLDER = Path(__file__).resolve().parent
OBJECTS = Path("tflite_kernels/CMakeFiles/oaq.dir/core")
DEPTH = 16
EMULATOR = "qemu-aarch64 -cpu cortex-a72 -L /usr/aarch64-linux-gnu"
HOW = {
    "a53": "in-order model of Cortex-A53 (in_order.py)",
    "a55": "in-order model of Cortex-A55 (in_order.py)",
    "a57": "llvm-mca -mcpu=cortex-a57, which stands for A72 and A73 too",
}


@dataclass(frozen=True)
class Named:
    """A loop of ours, by where it is.

    Attributes:
      name: in tables.
      source: under core/; its object holds the function, whose name others may share.
      function: the symbol.
      outputs: of a tile, for the cost of a drain.
      does: int16 or exact, of dense layers; depthwise_HxW_sS, of filters of that size and stride,
        or depthwise, of any.
    """

    name: str
    source: str
    function: str
    outputs: int
    does: str


def _of_core(core: str) -> Named:
    kernel = f"multiply_i16_c8_4x4_{core}"
    does = "int16" if core == "a53" else f"int16 on {core}"
    return Named(f"int16 4x4, {core}", f"aarch64/{kernel}.S", f"oaq_{kernel}", 16, does)


LOOPS = (
    Named("int16 4x4", "neon/gemm_i16_c8_4x4_neon.c", "multiply_4", 16, "int16"),
    # In assembly; networks take the one for A53.
    *(_of_core(core) for core in ("a55", "a72", "a53")),
    Named("SDOT 8x8", "neon/gemm_i32_c4_8x8_dotprod.c", "multiply_8", 64, "dot product"),
    Named("SMMLA 8x8", "neon/gemm_i32_c8_8x8_i8mm.c", "multiply_8", 64, "dot product"),
    Named("exact 4x4", "neon/gemm_i32_pairs_c8_4x4_neon.c", "multiply_4", 16, "exact"),
    *(
        Named(
            f"depthwise {size}, stride {stride}",
            f"neon/depthwise_i16_{size}_neon.c",
            f"oaq_depthwise_i16_{size}_s{stride}_neon",
            1,
            f"depthwise_{size}_s{stride}",
        )
        for size in ("3x3", "5x5")
        for stride in (1, 2)
    ),
    # The output stage included; networks take the loops above, and an estimate of it.
    *(
        Named(
            f"depthwise 3x3 into codes, stride {stride}, {core}",
            source,
            function,
            1,
            f"depthwise_codes_3x3_s{stride} of {core}",
        )
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
    Named("depthwise", "neon/depthwise_i16_neon.c", "oaq_depthwise_i16_neon", 1, "depthwise"),
)
"""A loop that a build does not have is named and left out."""


def main() -> int:
    """Prints the tables and writes the JSON object.

    Returns:
      The exit code: 0, or 2 where a network could not be read.
    """
    options = _parse()
    report: dict = {"how": HOW, "loops": cut(options.build, LOOPS), "networks": []}
    if report["loops"]:
        _print_loops(report["loops"])
    missing = {loop.name for loop in LOOPS} - {row["name"] for row in report["loops"]}
    if missing:
        print(f"Not in {options.build}: {', '.join(sorted(missing))}.\n")
    faults = 0
    for model in options.models:
        try:
            report["networks"].append(_network(options, model, report["loops"]))
        except (OSError, OaqError) as error:
            print(f"bench_arm: {model}: {error}", file=sys.stderr)
            faults += 1
    report["references"] = arm_references.compare(options.build.parent)
    if report["references"]:
        print(arm_references.table(report["references"]))
    if not options.models:
        print("No models given: no whole networks.\n")
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


def cut(build: Path, loops: tuple[Named, ...]) -> list[dict]:
    """The loops that a build has, timed."""
    rows = []
    for named in loops:
        path = build / OBJECTS / f"{named.source}.o"
        if not path.is_file():
            continue
        code = arm_loops.disassemble(path).get(named.function, [])
        loop = arm_loops.hot_loop(code) if code else None
        if loop is not None:
            rows.append(_timed(named, loop))
    return rows


def _timed(named: Named, loop: arm_loops.Loop) -> dict:
    inner = arm_loops.cycles(loop.inner)
    around = arm_loops.cycles(loop.around) if loop.around else {}
    # What lies around the loop begins a block, which may take steps of its own.
    steps = loop.products_around / loop.products
    drain = {
        core: (around[core] - steps * inner[core]) / named.outputs
        for core in inner
        if around.get(core) is not None and inner[core] is not None
    }
    return {
        "name": named.name,
        "object": named.source,
        "function": named.function,
        "does": named.does,
        "instructions": len(loop.inner),
        "products": loop.products,
        "cycles": inner,
        "mac_per_cycle": {core: loop.products / n for core, n in inner.items() if n},
        "drain_cycles_an_output": drain,
    }


def _print_loops(rows: list[dict]) -> None:
    print("## Loops, MAC/cycle\n")
    print(f"Cut from the objects; {'; '.join(f'{core}: {how}' for core, how in HOW.items())}.\n")
    print("| loop | instructions | MACs | a53 | a55 | a57 | drain, cycles an output, a53 |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        rates = [row["mac_per_cycle"].get(core) for core in HOW]
        drain = row["drain_cycles_an_output"].get("a53")
        cells = [row["name"], row["instructions"], row["products"], *map(_cell, rates)]
        drains = row["does"] in ("int16", "exact")
        print(f"| {' | '.join(map(str, cells))} | {_cell(drain) if drains else '-'} |")
    print()


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def kernels(rows: list[dict]) -> arm_networks.Kernels | None:
    """What was cut, as arm_networks.py wants it; None where that is no int16 GEMM loop."""
    dense = {
        row["does"]: arm_networks.Dense(
            row["mac_per_cycle"]["a53"], row["drain_cycles_an_output"].get("a53", 0.0)
        )
        for row in rows
        if row["does"] in ("int16", "exact")
    }
    if "int16" not in dense:
        return None
    rates = {row["does"]: row["mac_per_cycle"]["a53"] for row in rows}

    def depthwise(layer: arm_networks.Layer) -> float:
        height, width = layer.filter or (0, 0)
        own = rates.get(f"depthwise_{height}x{width}_s{layer.stride}")
        return float(own or rates.get("depthwise", arm_networks.XNNPACK_DEPTHWISE))

    return arm_networks.Kernels("ours, as cut", dense["int16"], dense.get("exact"), depthwise)


def _network(options: argparse.Namespace, model: Path, loops: list[dict]) -> dict:
    content = certified.certified(model.read_bytes(), DEPTH)
    found = arm_networks.layers(content)
    theirs = arm_networks.total(found, arm_networks.xnnpack)
    ours = kernels(loops)
    sets = [*([ours] if ours else []), arm_networks.HAND, arm_networks.CEILING]
    rows = []
    for chosen in sets:
        cycles = arm_networks.total(found, chosen.cycles)
        ratios = {part: theirs[part] / n for part, n in cycles.items() if n}
        rows.append({"kernels": chosen.name, "cycles": cycles, "ratio": ratios})
    print(f"## {model.stem}, layers on Cortex-A53, certified at T = {DEPTH}\n")
    print("Put together from loops on the in-order model; drains by the library's plan; an output")
    print(f"stage of {arm_networks.EPILOGUE} cycles on either side is an estimate.\n")
    print("| kernels | Mcycles | dense, XNNPACK / ours | depthwise | all layers |")
    print("|---|--:|--:|--:|--:|")
    print(f"| XNNPACK, by its formula | {theirs['all'] / 1e6:.1f} | 1.00x | 1.00x | 1.00x |")
    for row in rows:
        cells = [_ratio(row["ratio"].get(part)) for part in ("dense", "depthwise", "all")]
        print(f"| {row['kernels']} | {row['cycles']['all'] / 1e6:.1f} | {' | '.join(cells)} |")
    print()
    network = {"model": model.name, "depth": DEPTH, "xnnpack_cycles": theirs, "kernels": rows}
    network["instructions"] = _instructions(options, model.name, content)
    return network


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _instructions(options: argparse.Namespace, name: str, content: bytes) -> dict | None:
    """Executed by one inference in each mode, where there is a runtime."""
    if options.runtime is None or not options.runtime.is_file():
        print("No TensorFlow Lite C library for aarch64 (`make matrix`): nothing is counted.\n")
        return None
    path = options.json.parent / f"certified_{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    build = options.build / "tflite_kernels"
    command = [sys.executable, str(FOLDER / "count_instructions.py"), "--json", "--symbols", "8"]
    command += ["--runner", str(build / "bench" / "oaq_run_model"), "--emulator", EMULATOR]
    command += ["--runtime", str(options.runtime), "--library", str(build / "liboaq_tflite.so")]
    run = subprocess.run(
        [*command, "--model", str(path)], capture_output=True, text=True, check=False
    )
    path.unlink()
    if run.returncode != 0:
        print(f"Nothing is counted: {(run.stderr.strip().splitlines() or ['?'])[-1]}\n")
        return None
    report: dict = json.loads(run.stdout)
    cpu = EMULATOR.partition(" -L")[0]
    print(f"| instructions of one inference, {cpu} | | mode / xnnpack |")
    print("|---|--:|--:|")
    for row in report["modes"]:
        print(f"| {row['mode']} | {row['instructions']:,} | {row['ratio']:.3f}x |")
    print(flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
