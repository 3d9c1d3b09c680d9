# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""From nothing to a first inference, as README.md says, timed: `make first-inference`.

python -m tests.arm.first_inference MODEL.tflite

With what `make wheels` left in dist/: in an environment of this machine, in an emulated Cortex-A53
where `make arm-fetch` was, both with all that pip brings; and the sdist, where PATH holds neither a
compiler nor CMake. Needs the package index.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pip

from tests.arm import emulated

DIST = Path(__file__).resolve().parents[2] / "dist"
# What Python and zig's scripts call.
_PROGRAMS = ("sh", "env", "uname", "ls", "cat", "rm", "mkdir")


def here(wheel: Path, model: Path, folder: Path) -> None:
    """The commands of README.md."""
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([python, "-m", "pip", "install", "--quiet", str(wheel)])
    _run([str(folder / "bin" / "oaq"), "benchmark", str(model), "--runs", "5"])


def on_arm(wheel: Path, model: Path, folder: Path) -> None:
    """The same in an emulated Python, which has pip's folder in place of an environment."""
    target = emulated.TARGETS["aarch64"]
    python = emulated.python(target, "cortex-a53", more_packages=folder)
    install = [*python, str(Path(pip.__file__).parent), "install", "--quiet"]
    _run([*install, "--root-user-action", "ignore", "--target", str(folder), str(wheel)])
    _run([*python, "-m", "oaq_keras.cli", "benchmark", str(model), "--runs", "5"], cwd=folder)


def from_source(sdist: Path, model: Path, folder: Path) -> None:
    """The sdist, without a compiler and without CMake."""
    programs = folder / "programs"
    programs.mkdir()
    for name in _PROGRAMS:
        (programs / name).symlink_to(str(shutil.which(name)))
    _run([sys.executable, "-m", "venv", str(folder / "environment")])
    python = str(folder / "environment" / "bin" / "python")
    environment = {key: value for key, value in os.environ.items() if key not in ("CC", "CXX")}
    environment["PATH"] = str(programs)
    _run([python, "-m", "pip", "install", "--quiet", str(sdist)], environment=environment)
    _run([python, "-m", "oaq_keras.cli", "benchmark", str(model), "--runs", "5"], cwd=folder)


def _run(
    command: Sequence[str], cwd: Path | None = None, environment: dict[str, str] | None = None
) -> None:
    run = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")


def main() -> int:
    """Runs and times all of it.

    Returns:
      The exit code: 1 where something is missing.
    """
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = Path(sys.argv[1]).resolve()
    steps = {
        f"wheel, {platform.machine()}": (here, f"*manylinux*{platform.machine()}.whl"),
        "wheel, emulated Cortex-A53": (on_arm, "*manylinux*aarch64.whl"),
        "sdist, no compiler, no CMake": (from_source, "*.tar.gz"),
    }
    failed = 0
    for name, (step, pattern) in steps.items():
        found = sorted(DIST.glob(pattern))
        if not found:
            print(f"{name}: needs `make wheels`")
            failed += 1
            continue
        if step is on_arm and not emulated.Place(emulated.TARGETS["aarch64"]).stamp.is_file():
            print(f"{name}: needs `make arm-fetch`")
            failed += 1
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            step(found[-1], model, Path(folder))
            print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
