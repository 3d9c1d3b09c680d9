# SPDX-License-Identifier: Apache-2.0
"""The tables of README.md that take minutes: the demo's, and x86's speed on this machine.

    python -m results.readme [--data ../shared/data] [--only x86]

Latencies are medians of two programs in turns; let nothing else run meanwhile. x86's needs what
`make matrix` fetches, and valgrind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results import rows, speed

PAGE = "README.md"
TABLES = ("demo", "x86")
DEMO = Path("build/demo")
MODELS = {
    "MobileNetV2": "tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "ResNet8": "mlperftiny_resnet8_cifar10_int8.tflite",
}
"""Int8 files of the data folder."""
_RUNS = 200


def main() -> int:
    """Makes the tables and puts them into README.md.

    Returns:
      The exit code, 0.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=TABLES, help="this table")
    parser.add_argument("--runtimes", type=Path, default=Path("build/matrix/package/cc_deps"))
    options = parser.parse_args()
    if options.only != "x86":
        rows.write_table(PAGE, "demo", demo())
    if options.only != "demo":
        rows.write_table(PAGE, "x86", x86(options.data / "models", options.runtimes))
    return 0


def demo() -> str:
    """Runs `make demo` anew, and gives its table and how many images it is of."""
    from helpers.results import by_method  # results.speed has put examples/ on the path

    shutil.rmtree(DEMO, ignore_errors=True)
    # As the Makefile has it for users; `make results` has oneDNN on, which rounds otherwise.
    subprocess.run(["make", "demo"], env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}, check=True)
    row = json.loads((DEMO / "row.json").read_text())["row"]
    return f"{by_method(row)}; {row['images']} test images"


def x86(models: Path, runtimes: Path) -> str:
    """Time and instructions of given files beside LiteRT's and XNNPACK's.

    Args:
      models: folder with `MODELS`.
      runtimes: as `make matrix` fetches them.
    """
    files = [models / name for name in MODELS.values()]
    found = {threads: [timed(file, threads) for file in files] for threads in (1, 2)}
    counted = [speed.instructions(file, runtimes)["avx2_instructions"] for file in files]
    told = f"`oaq benchmark MODEL --runs {_RUNS}`"
    lines = [
        ["what", *MODELS, "command"],
        ["---", *["--:"] * len(MODELS), "---"],
        [
            "AVX2, proven at T = 16: instructions of an inference, ours with XNNPACK for what we "
            "leave, by XNNPACK's",
            *(f"{each:.2f}" for each in counted),
            "`tflite_kernels/bench/count_instructions.py`",
        ],
        [f"{_isa(found[1])}, one thread: LiteRT's time by ours", *_ratios(found[1]), told],
        [f"{_isa(found[2])}, two threads", *_ratios(found[2]), f"{told[:-1]} --threads 2`"],
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nTimes are of: {found[1][0]['machine']['cpu']}."


def timed(file: Path, threads: int) -> dict[str, Any]:
    """What `oaq benchmark` says of a file, stock and ours in turns."""
    command = [sys.executable, "-m", "oaq_keras.cli", "benchmark", str(file), "--json"]
    command += ["--runs", str(_RUNS), "--threads", str(threads)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(said)
    return found


def _ratios(found: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{each['modes'][1]['ratio']:.2f}x" for each in found]


def _isa(found: Sequence[dict[str, Any]]) -> str:
    """The kernels that most multiplications ran on."""
    macs: dict[str, int] = {}
    for each in found:
        for layer in each["modes"][1]["plan"]:
            if layer["isa"]:
                macs[layer["isa"]] = macs.get(layer["isa"], 0) + layer["macs"]
    return max(macs, key=lambda isa: macs[isa]).upper()


if __name__ == "__main__":
    sys.exit(main())
