# SPDX-License-Identifier: Apache-2.0
"""Trainings that were killed end with the file of one that never was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from tests.interrupted_training import BATCHES, EPOCHS

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("OAQ_KILLS", "1"))


def _run(kind: str, folder: Path, *step: int) -> int:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "tests.interrupted_training", kind, folder, *map(str, step)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        check=False,
    ).returncode


@pytest.mark.parametrize("kind", ["cold", "warm", "unknown"])
def test_killed_trainings_end_alike(kind: str, tmp_path: Path) -> None:
    assert _run(kind, tmp_path / "whole") == 0
    # Many kills (`make soak-training`) fall into all phases: before the first backup, where widths
    # are learnt, where they are frozen.
    steps = np.random.default_rng(len(kind)).integers(0, EPOCHS * BATCHES, KILLS)
    for step in sorted(map(int, steps)):
        assert _run(kind, tmp_path / "killed", step) == -signal.SIGKILL
    assert _run(kind, tmp_path / "killed") == 0
    whole, killed = (tmp_path / name / "model.tflite" for name in ("whole", "killed"))
    assert killed.read_bytes() == whole.read_bytes()
