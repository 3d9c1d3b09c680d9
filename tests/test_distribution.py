# SPDX-License-Identifier: Apache-2.0
"""Trainings on several devices and by several workers: one set of formats, accuracy as on one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")

import oaq_keras

ROOT = Path(__file__).parents[1]


def _accuracies(file: Path, *options: str) -> list[float]:
    """What each worker of the example says."""
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "distributed.py", "--output", file, *options],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return [float(found) for found in re.findall(r"accuracy ([\d.]+), 100.0%", run.stdout)]


def test_several_train_as_one(tmp_path: Path) -> None:
    """Formats and files are the workers' to the bit; accuracy is that of one device."""
    kinds = {
        "one": ["--strategy=one"],
        "mirrored": ["--strategy=mirrored"],
        "workers": ["--local_workers=2"],
    }
    files = {kind: tmp_path / f"{kind}.tflite" for kind in kinds}
    found = {kind: _accuracies(files[kind], *options) for kind, options in kinds.items()}
    assert {kind: len(each) for kind, each in found.items()} == {
        "one": 1,
        "mirrored": 1,
        "workers": 2,
    }
    (alone,) = found["one"]
    assert alone > 0.95
    for each in found.values():
        assert each == pytest.approx([alone] * len(each), abs=0.015)
    for file in files.values():
        assert oaq_keras.certify(file.read_bytes()).proven
    assert files["workers"].read_bytes() == (tmp_path / "workers.1.tflite").read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strategy=workers"], "set TF_CONFIG, or use --local_workers"),
        (["--epochs=0"], "epochs"),
    ],
)
def test_misuse_says_what_to_do(tmp_path: Path, options: list[str], words: str) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "distributed.py", *options],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert words in run.stdout + run.stderr
