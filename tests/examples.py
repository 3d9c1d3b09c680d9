# SPDX-License-Identifier: Apache-2.0
"""Runs scripts of examples/ as a user does, and finds what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import oaq_keras
from oaq_keras import library

ROOT = Path(__file__).resolve().parents[1]


def _library_is_there() -> bool:
    try:
        library.load()
    except oaq_keras.LibraryError:
        return False
    return True


needs_library = pytest.mark.skipif(
    not _library_is_there(), reason="needs the C library: make test builds it"
)

needs_time = pytest.mark.skipif(
    not os.environ.get("OAQ_LONG"), reason="takes minutes: make soak-examples"
)


def run(script: str, *arguments: str, **flags: Any) -> subprocess.CompletedProcess[str]:
    """Runs a script with arguments and `--name=value` for each flag."""
    return subprocess.run(
        [
            *(sys.executable, f"examples/{script}", *arguments),
            *(f"--{name}={value}" for name, value in flags.items()),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


def said(found: subprocess.CompletedProcess[str]) -> str:
    """All that a script wrote, without the line breaks of wrapped messages."""
    return " ".join((found.stderr + found.stdout).split())


def cells(found: subprocess.CompletedProcess[str], method: str) -> list[str]:
    """The cells of a method's line of the table."""
    (line,) = (each for each in found.stdout.splitlines() if each.startswith(f"| {method} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]
