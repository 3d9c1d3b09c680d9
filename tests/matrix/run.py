# SPDX-License-Identifier: Apache-2.0
"""Every runtime x {custom, builtin} x {1, 2, 8 threads}: prints the table, exits 1 on a hole.

python -m tests.matrix.run [--cache DIR]. What a runtime needs is fetched into the cache once:
tflite-runtime 2.14 with the numpy it was built for, in an environment of its own, and the TFLite
2.9 C library of the npm package tfjs-tflite-node 0.0.2.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from oaq_keras import library
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.tables import format_table
from tests.models import small_network

THREADS = (1, 2, 8)
NPM_PACKAGE = "tfjs-tflite-node@0.0.2"
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Runs the matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("build/matrix"))
    cache = parser.parse_args().cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    runtimes = {
        "LiteRT": (sys.executable, "litert", ""),
        "tf.lite": (sys.executable, "tf.lite", ""),
        "tflite-runtime 2.14": (old_python(cache), "tflite-runtime", ""),
        "TFLite C 2.9": (sys.executable, "c", c_library(cache)),
    }
    image = np.random.default_rng(1).integers(-128, 128, (1, 8, 8, 3), np.int8)
    files = {"builtin": small_network(15), "custom": to_custom_ops(small_network(15))}
    ours = str(library.library_path())
    rows, holes = [], 0
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/image.npy", image)
        for name, content in files.items():
            Path(f"{folder}/{name}.tflite").write_bytes(content)
        base = {"image": f"{folder}/image.npy", "library": ours}
        plain = {"model": f"{folder}/builtin.tflite", "way": "none", "options": {}}
        expected = answer(folder, sys.executable, {**base, **plain, "runtime": "litert"})
        for label, (python, runtime, c_path) in runtimes.items():
            ways = [("builtin", "delegate"), ("custom", "delegate")]
            ways += [("custom", "AddCustomOp")] if runtime == "c" else []
            for file, way in ways:
                cells = []
                for threads in THREADS if way == "delegate" else THREADS[:1]:
                    job = {
                        **base,
                        "model": f"{folder}/{file}.tflite",
                        "way": way,
                        "runtime": runtime,
                        "c_library": c_path,
                        "options": {"builtin": "1", "plan": "int16", "num_threads": str(threads)},
                    }
                    found = answer(folder, python, job)
                    cells.append("equal" if found == expected else hole(found))
                    holes += found != expected
                cells += ["-"] * (len(THREADS) - len(cells))
                rows.append([label, file, way, *cells])
    headings = ["runtime", "ops", "by", *(f"{threads} threads" for threads in THREADS)]
    print(format_table(headings, rows))
    print(f"expected: BUILTIN_REF of LiteRT on the builtin file; {holes} holes")
    return 1 if holes else 0


def answer(folder: str, python: str, job: dict[str, Any]) -> Any:
    """The output codes of one job, or the last line of its error."""
    if not python or (job["runtime"] == "c" and not job["c_library"]):
        return "missing"
    path = Path(folder) / "job.json"
    path.write_text(json.dumps(job))
    run = subprocess.run(
        [python, str(HERE / "answer.py"), str(path)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        return (run.stderr.strip().splitlines() or [f"exit {run.returncode}"])[-1]
    return json.loads(run.stdout.splitlines()[-1])


def hole(found: Any) -> str:
    """What a cell says that is not equal."""
    return found[:60] if isinstance(found, str) else "differs"


def old_python(cache: Path) -> str:
    """A Python with tflite-runtime 2.14, which exists up to 3.11; empty where there is none."""
    python = cache / "tflite-runtime" / "bin" / "python"
    if python.exists():
        return str(python)
    names = ["python3.11", "python3.10", sys.executable]
    source = next((p for name in names if (p := shutil.which(name)) and _old_enough(p)), None)
    if source is None:
        return ""
    subprocess.run([source, "-m", "venv", str(cache / "tflite-runtime")], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "tflite-runtime==2.14.0", "numpy<2"]
    subprocess.run(install, check=True)
    return str(python)


def _old_enough(python: str) -> bool:
    test = "import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))"
    return subprocess.run([python, "-c", test], check=False).returncode == 0


def c_library(cache: Path) -> str:
    """The TFLite 2.9 C library; empty where npm is missing."""
    found = list(cache.glob("package/**/libtensorflowlite_c.so"))
    if not found and shutil.which("npm"):
        packed = subprocess.run(
            ["npm", "pack", "--silent", NPM_PACKAGE],
            cwd=cache,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()[-1]
        subprocess.run(["tar", "-xzf", packed], cwd=cache, check=True)
        found = list(cache.glob("package/**/libtensorflowlite_c.so"))
    machine = "arm64" if sys.platform == "linux" and _machine() == "aarch64" else "amd64"
    fitting = [path for path in found if machine in str(path)] or found
    return str(fitting[0]) if fitting else ""


def _machine() -> str:
    import platform

    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
