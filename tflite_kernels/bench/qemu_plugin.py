# SPDX-License-Identifier: Apache-2.0
"""Plugins of qemu-user, of the sources in qemu/: built, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "qemu"
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden")


class EmulatorError(Exception):
    """A run that failed; says what to do."""


def build(folder: Path, *sources: str) -> Path:
    """Compiles a plugin of qemu/, named like its first source.

    Raises:
      EmulatorError: there is no compiler, or it fails.
    """
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise EmulatorError("the emulator's plugin needs a C compiler")
    target = (folder / sources[0]).with_suffix(".so")
    paths = [str(SOURCES / source) for source in sources]
    execute([compiler, *FLAGS, *paths, "-o", str(target)])
    return target


def run(emulator: Sequence[str], plugin: str, program: Sequence[str]) -> list[str]:
    """What a plugin printed.

    Raises:
      EmulatorError: the program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        options = ["-plugin", plugin, "-d", "plugin", "-D", str(log)]
        execute([*emulator, *options, *program])
        return log.read_text(errors="replace").splitlines() if log.exists() else []


def execute(command: Sequence[str]) -> None:
    """Runs a command.

    Raises:
      EmulatorError: it fails; with what it wrote to its standard error.
    """
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode != 0:
        said = "; ".join(line for line in run.stderr.splitlines() if line)
        raise EmulatorError(said or f"{command[0]}: exit {run.returncode}")
